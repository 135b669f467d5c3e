"""DARE: drops numbers of the task vectors at random, and makes up for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from suture.merge.methods.task_vectors import Dialect, Thin, add_up, task_vectors, vote
from suture.merge.stream import Chunk, Combine, Floats, Inputs

_LEAST = 1e-30
"""A density to divide by where none survives."""


def dare_linear(
    inputs: Inputs,
    *,
    weight: tuple[float, ...],
    density: tuple[float, ...],
    normalize: bool,
    lambda_: float,
    rescale: bool,
    seed: int,
    dialect: Dialect,
) -> Combine:
    """Return base + lambda * the weighted sum of the task vectors' survivors.

    Yu et al. 2023, Language models are super Mario (arXiv 2311.03099), "drop and rescale": each number
    survives with the probability p = density, and is divided by p, so that the expectation stays.

    Args:
        inputs: The models and their base.
        weight: One per model.
        density: Probability to survive, one per model.
        normalize: Whether to divide by the sum of the weights.
        lambda_: What the merged task vector is multiplied by.
        rescale: Whether to make up for what was dropped.
        seed: Which numbers are dropped.
        dialect: `paper` divides by the density; `mergekit` multiplies by the ratio of the L1 norms before and after,
            tensor by tensor.
    """
    thin = _survivors(inputs, density, seed, dialect=dialect if rescale else None)
    return add_up(thin, weight=weight, normalize=normalize, lambda_=lambda_)


def dare_ties(
    inputs: Inputs,
    *,
    weight: tuple[float, ...],
    density: tuple[float, ...],
    normalize: bool,
    lambda_: float,
    rescale: bool,
    seed: int,
    dialect: Dialect,
) -> Combine:
    """Return base + lambda * what the task vectors' survivors agree on: `dare_linear` with the vote of `ties`.

    Args:
        inputs: The models and their base.
        weight: One per model.
        density: Probability to survive, one per model.
        normalize: Whether to divide by the sum of the weights that agree.
        lambda_: What the merged task vector is multiplied by.
        rescale: Whether to make up for what was dropped.
        seed: Which numbers are dropped.
        dialect: As in `dare_linear`, and as in `ties` where the vote is a draw.
    """
    thin = _survivors(inputs, density, seed, dialect=dialect if rescale else None)
    return vote(thin, weight=weight, normalize=normalize, lambda_=lambda_, dialect=dialect)


def keep_below(values: Floats, draws: Floats, limits: Floats | np.float32) -> Floats:
    """Set to 0, in place, all numbers whose draw is not below its limit; the draws are overwritten."""
    draws -= limits
    mask = draws.view(np.int32)
    mask >>= 31  # all ones for a negative number, else all zeros
    bits = values.view(np.int32)
    bits &= mask
    return values


def l1_ratios(inputs: Inputs, thin: Thin, density: Sequence[float]) -> list[np.float32]:
    """Return, for each model, by how much the L1 norm of its task vector is larger than that of what is left.

    Args:
        inputs: The models and their base.
        thin: Makes what is left.
        density: What a norm is expected to be multiplied by; says the ratio where there are NaN or infinities.
    """

    def norms(chunk: Chunk) -> NDArray[np.float64]:
        return np.array([list(map(_l1, task_vectors(chunk))), list(map(_l1, thin(chunk)))], np.float64)

    before, after = inputs.total(norms)  # each (s,)
    with np.errstate(all="ignore"):
        ratios = before / after
    return [
        np.float32(ratio if np.isfinite(ratio) else 1 / max(share, _LEAST))
        for ratio, share in zip(ratios, density, strict=True)
    ]


def rescaled(thin: Thin, factors: Sequence[np.float32]) -> Thin:
    """Return `thin` with each model's numbers times a factor."""

    def scaled(chunk: Chunk) -> Iterator[Floats]:
        for values, factor in zip(thin(chunk), factors, strict=True):
            yield np.multiply(values, factor, out=values)

    return scaled


def _survivors(inputs: Inputs, density: Sequence[float], seed: int, dialect: Dialect | None) -> Thin:
    """Return what makes the numbers that survive, rescaled as the dialect has it, or not."""
    limits = [np.float32(share) for share in density]

    def kept(chunk: Chunk) -> Iterator[Floats]:
        for model, (values, limit) in enumerate(zip(task_vectors(chunk), limits, strict=True)):
            yield values if limit >= 1 else keep_below(values, chunk.uniform(model, seed), limit)

    match dialect:
        case "paper":
            return rescaled(kept, [np.float32(1 / max(share, _LEAST)) for share in density])
        case "mergekit":
            return rescaled(kept, l1_ratios(inputs, kept, density))
        case None:
            return kept


def _l1(values: Floats) -> np.float32:
    return np.sum(np.abs(values, out=values))  # numpy adds pairwise
