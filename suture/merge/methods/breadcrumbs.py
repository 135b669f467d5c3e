"""Model Breadcrumbs: drops both the smallest and the largest numbers of the task vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from suture.merge.methods.ranks import KEEP_NONE, keep_from, keep_up_to, magnitudes_at
from suture.merge.methods.task_vectors import Dialect, Thin, add_up, task_vectors, vote
from suture.merge.stream import Chunk, Combine, Floats, Inputs


def breadcrumbs(
    inputs: Inputs,
    *,
    weight: tuple[float, ...],
    density: tuple[float, ...],
    gamma: tuple[float, ...],
    normalize: bool,
    lambda_: float,
) -> Combine:
    """Return base + lambda * the weighted sum of the task vectors without their smallest and largest numbers.

    Davari and Belilovsky 2023, Model Breadcrumbs (arXiv 2312.06795): a mask for each tensor.
    Numbers exactly at a cut are all kept.

    Args:
        inputs: The models and their base.
        weight: One per model.
        density: Share of the numbers that is kept, one per model.
        gamma: Share that is dropped of the largest (the paper's 1 - beta), one per model; the rest of what is dropped
            are the smallest. At most 1 - density.
        normalize: Whether to divide by the sum of the weights.
        lambda_: What the merged task vector is multiplied by.
    """
    return add_up(_middle(inputs, density, gamma), weight=weight, normalize=normalize, lambda_=lambda_)


def breadcrumbs_ties(
    inputs: Inputs,
    *,
    weight: tuple[float, ...],
    density: tuple[float, ...],
    gamma: tuple[float, ...],
    normalize: bool,
    lambda_: float,
    dialect: Dialect,
) -> Combine:
    """Return base + lambda * what the middling numbers of the task vectors agree on: with the vote of `ties`.

    Args:
        inputs: The models and their base.
        weight: One per model.
        density: Share of the numbers that is kept, one per model.
        gamma: Share that is dropped of the largest, one per model, as in `breadcrumbs`.
        normalize: Whether to divide by the sum of the weights that agree.
        lambda_: What the merged task vector is multiplied by.
        dialect: As in `ties` where the vote is a draw.
    """
    return vote(_middle(inputs, density, gamma), weight=weight, normalize=normalize, lambda_=lambda_, dialect=dialect)


def _middle(inputs: Inputs, density: Sequence[float], gamma: Sequence[float]) -> Thin:
    """Return what makes the numbers between the cuts."""
    ranks = [_ends(inputs.size, share, top) for share, top in zip(density, gamma, strict=True)]
    cuts = magnitudes_at([inputs], lambda chunk: list(task_vectors(chunk)), ranks)

    def kept(chunk: Chunk) -> Iterator[Floats]:
        for values, ends in zip(task_vectors(chunk), cuts, strict=True):
            least, most = ends or (KEEP_NONE, KEEP_NONE)
            yield keep_up_to(keep_from(values, least), most)

    return kept


def _ends(size: int, density: float, gamma: float) -> tuple[int, ...]:
    """Return the ranks of the smallest and the largest magnitude that are kept of `size`; none if none is."""
    dropped = size - int(density * size)
    largest = min(int(gamma * size), dropped)
    return (dropped - largest, size - 1 - largest) if dropped < size else ()
