"""SCE: keeps the numbers that differ most between models, weighs the models by what is left, and lets them vote."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from suture.merge.methods.ranks import KEEP_ALL, KEEP_NONE, magnitudes_at, mask_from
from suture.merge.methods.task_vectors import Dialect, Thin, task_vectors, vote
from suture.merge.stream import Chunk, Combine, Floats, Inputs

_LEAST_MEAN_SQUARE = 1e-6
"""Sum of the models' mean squares below which mergekit does not tell them apart."""


def sce(inputs: Inputs, *, select_topk: float, dialect: Dialect) -> Combine:
    """Return base + the task vectors, selected, weighed and with the minority's signs erased.

    Wan et al. 2024, FuseChat (arXiv 2408.07990), tensor by tensor. Select: the numbers whose variance
    over the models is among the largest; those exactly at the cut are all kept. Calculate: each model's weight is the
    sum of its squares over that of all models. Erase: numbers whose sign is not that of their sum over the models.

    Args:
        inputs: The models and their base.
        select_topk: Share of the numbers that is selected.
        dialect: `mergekit` selects a share of the numbers whose variance is not 0, takes all models alike where
            their mean squares have a sum below 1e-6, as in most fine-tunes, and divides by the sum of the weights
            that are not erased; `paper` does none of this.
    """
    selected = _selected(_least_variance(inputs, select_topk, of_all=dialect == "paper"))
    weights = _weights(inputs, selected, least=_LEAST_MEAN_SQUARE * inputs.size if dialect == "mergekit" else 0.0)
    return vote(
        selected, weight=weights, normalize=dialect == "mergekit", lambda_=1.0, dialect=dialect, weigh_votes=False
    )


def _selected(least: int) -> Thin:
    """Return what makes the task vectors' numbers at places whose variance has at least these bits; else 0."""

    def select(chunk: Chunk) -> Iterator[Floats]:
        if least == KEEP_ALL:
            yield from task_vectors(chunk)
            return
        mask = mask_from(_variances(chunk), least)
        for values in task_vectors(chunk):
            bits = values.view(np.int32)
            bits &= mask
            yield values

    return select


def _least_variance(inputs: Inputs, share: float, *, of_all: bool) -> int:
    """Return the bits of the least variance that is selected of a share of all numbers, or of those that vary."""
    if share >= 1:
        return KEEP_ALL
    size = inputs.size if of_all else int(inputs.total(lambda chunk: np.array(np.count_nonzero(_variances(chunk)))))
    count = int(share * size)
    if count == 0:
        return KEEP_NONE
    ((least,),) = magnitudes_at([inputs], lambda chunk: [_variances(chunk)], [[inputs.size - count]])
    return least


def _variances(chunk: Chunk) -> Floats:
    """Return the sum of the squared differences of all pairs of models: (n,); the order of these is all that matters.

    It is s^2 times the variance, exactly 0 where all models are equal, and knows no rounded mean.
    """
    total = np.zeros_like(chunk.models[0])
    for one, other in itertools.combinations(chunk.models, 2):
        difference = one - other
        total += np.square(difference, out=difference)
    return total


def _weights(inputs: Inputs, selected: Thin, *, least: float) -> list[float]:
    """Return each model's share of the sum of squares; equal shares where it is no more than `least`."""

    def squares(chunk: Chunk) -> NDArray[np.float64]:
        return np.array([np.sum(np.square(values, out=values)) for values in selected(chunk)], np.float64)

    sums = inputs.total(squares)
    total = float(sums.sum())
    return list(sums / total) if least < total < np.inf else [1 / inputs.count] * inputs.count
