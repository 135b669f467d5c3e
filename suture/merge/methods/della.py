"""DELLA: drops numbers at random like DARE, but small ones more often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from suture.merge.methods.dare import keep_below, l1_ratios, rescaled
from suture.merge.methods.task_vectors import Dialect, Thin, add_up, task_vectors, vote
from suture.merge.stream import Chunk, Combine, Floats, Inputs

_LEAST = np.finfo(np.float32).tiny
"""What to divide by where nothing survives."""


def della(
    inputs: Inputs,
    *,
    weight: tuple[float, ...],
    density: tuple[float, ...],
    epsilon: tuple[float, ...],
    normalize: bool,
    lambda_: float,
    rescale: bool,
    seed: int,
    dialect: Dialect,
) -> Combine:
    """Return base + lambda * what the task vectors' survivors agree on.

    Deep et al. 2024, DELLA-Merging (arXiv 2406.11617): MAGPRUNE drops, by rank within each row, from the
    largest magnitude to the smallest, with probabilities that rise evenly from 1 - density - epsilon to
    1 - density + epsilon, and divides each survivor by its probability to survive; then signs are elected and
    averaged as in TIES. The paper's own epsilon is the width of the range: twice the one here.

    Args:
        inputs: The models and their base. Chunks hold whole rows.
        weight: One per model.
        density: Mean probability to survive, one per model.
        epsilon: How far the probabilities spread on either side, one per model; they end at 0 and 1.
        normalize: Whether to divide by the sum of the weights that agree.
        lambda_: What the merged task vector is multiplied by.
        rescale: Whether to make up for what was dropped.
        seed: Which numbers are dropped.
        dialect: `paper` divides by the probability to survive; `mergekit` multiplies by the ratio of the L1 norms
            before and after, tensor by tensor. As in `ties` where the vote is a draw.
    """
    thin = _survivors(inputs, density, epsilon, seed, dialect=dialect if rescale else None)
    return vote(thin, weight=weight, normalize=normalize, lambda_=lambda_, dialect=dialect)


def della_linear(
    inputs: Inputs,
    *,
    weight: tuple[float, ...],
    density: tuple[float, ...],
    epsilon: tuple[float, ...],
    normalize: bool,
    lambda_: float,
    rescale: bool,
    seed: int,
    dialect: Dialect,
) -> Combine:
    """Return base + lambda * the weighted sum of the task vectors' survivors: `della` without the vote.

    Args:
        inputs: The models and their base. Chunks hold whole rows.
        weight: One per model.
        density: Mean probability to survive, one per model.
        epsilon: How far the probabilities spread on either side, one per model; they end at 0 and 1.
        normalize: Whether to divide by the sum of the weights.
        lambda_: What the merged task vector is multiplied by.
        rescale: Whether to make up for what was dropped.
        seed: Which numbers are dropped.
        dialect: How to make up for what was dropped, as in `della`.
    """
    thin = _survivors(inputs, density, epsilon, seed, dialect=dialect if rescale else None)
    return add_up(thin, weight=weight, normalize=normalize, lambda_=lambda_)


def _survivors(
    inputs: Inputs, density: Sequence[float], epsilon: Sequence[float], seed: int, dialect: Dialect | None
) -> Thin:
    """Return what makes the numbers that survive, rescaled as the dialect has it, or not."""
    by_rank = [
        _spread(inputs.columns, share, spread) for share, spread in zip(density, epsilon, strict=True)
    ]  # each (columns,), from the smallest magnitude of a row to the largest

    def kept(chunk: Chunk) -> Iterator[Floats]:
        for model, (values, spread) in enumerate(zip(task_vectors(chunk), by_rank, strict=True)):
            limits = _at_ranks(values, spread)
            keep_below(values, chunk.uniform(model, seed), limits)
            if dialect == "paper":
                np.divide(values, np.maximum(limits, _LEAST, out=limits), out=values)
            yield values

    return rescaled(kept, l1_ratios(inputs, kept, density)) if dialect == "mergekit" else kept


def _spread(columns: int, density: float, epsilon: float) -> Floats:
    """Return the probabilities to survive by rank: (columns,), rising."""
    return np.clip(np.linspace(density - epsilon, density + epsilon, columns), 0.0, 1.0).astype(np.float32)


def _at_ranks(values: Floats, by_rank: Floats) -> Floats:
    """Return for each number what belongs to its magnitude's rank in its row; of equal ones the first ranks lower.

    Args:
        values: (n,): whole rows.
        by_rank: (columns,).
    """
    # Magnitude above place, in one integer each: sorted at once, in place, several times as fast as an argsort.
    keys = (values.view(np.int32) & np.int32(0x7FFFFFFF)).astype(np.int64)
    keys <<= 32
    keys |= np.arange(len(values), dtype=np.int64)
    keys.reshape(-1, len(by_rank)).sort(axis=1)
    places = keys.view(np.uint32)[::2]  # the lower halves
    spread = np.empty_like(values)
    spread.reshape(-1)[places] = np.tile(by_rank, len(values) // len(by_rank))
    return spread
