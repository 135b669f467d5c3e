"""How the task vectors of several models become one: their weighted sum, or TIES' vote on the sign of each number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

import numpy as np

from suture.merge.stream import Chunk, Combine, Floats

Dialect = Literal["paper", "mergekit"]
"""What to follow where a method's paper and mergekit differ."""

Thin = Callable[[Chunk], Iterable[Floats]]
"""Makes what is left of each model's task vector in a chunk; the arrays are the caller's to overwrite."""

_SIGN = np.int32(-(2**31))
"""The sign bit of an fp32 number, taken as an integer."""

_NO_WEIGHT = 1e-8
"""Weights whose sum is smaller in magnitude cancel out: nothing is divided by it."""

_TINY = np.float32(1e-30)
"""What to divide by where no term is left; it is lost in any weight that it is added to."""


def task_vectors(chunk: Chunk) -> Iterator[Floats]:
    """Yield what each model changed of the base: (n,), the caller's to overwrite."""
    for model in chunk.models:
        yield model - chunk.origin


def add_up(thin: Thin, *, weight: Sequence[float], normalize: bool, lambda_: float) -> Combine:
    """Return what computes base + lambda * sum(w_i * d_i), over sum(w_i) if normalized.

    Args:
        thin: Makes the d_i.
        weight: The w_i, one per model.
        normalize: Whether to divide by the sum of the weights.
        lambda_: What the merged task vector is multiplied by.
    """
    total_weight = math.fsum(weight)
    divisor = total_weight if normalize and abs(total_weight) > _NO_WEIGHT else 1.0
    factors = [np.float32(lambda_ * number / divisor) for number in weight]

    def combine(chunk: Chunk) -> Floats:
        terms = (np.multiply(term, factor, out=term) for term, factor in zip(thin(chunk), factors, strict=True))
        total = next(terms)
        for term in terms:
            total += term
        total += chunk.origin
        return total

    return combine


def vote(
    thin: Thin,
    *,
    weight: Sequence[float],
    normalize: bool,
    lambda_: float,
    dialect: Dialect,
    weigh_votes: bool = True,
) -> Combine:
    """Return what computes base + lambda * sum(w_i * d_i) over the terms with the elected sign alone.

    Yadav et al. 2023, TIES-Merging (arXiv 2306.01708), algorithm 1, "elect" and "disjoint merge": the sign of each
    number is that of the terms' sum; terms of another sign, and those that are 0, are left out. With weights of 1 and
    normalized, the mean of the rest.

    Args:
        thin: Makes the d_i.
        weight: The w_i, one per model.
        normalize: Whether to divide by the sum of the weights that are not left out.
        lambda_: What the merged task vector is multiplied by.
        dialect: Where the sum is 0, `paper` elects no sign and leaves the base, `mergekit` elects +.
        weigh_votes: Whether the sign is that of the sum of the terms w_i * d_i, or of the d_i.
    """
    factors = [np.float32(number) for number in weight]

    def combine(chunk: Chunk) -> Floats:
        terms: list[Floats] = []
        elected = np.zeros_like(chunk.models[0])
        for term, factor in zip(thin(chunk), factors, strict=True):
            if not weigh_votes:
                elected += term
            terms.append(np.multiply(term, factor, out=term))
            if weigh_votes:
                elected += term
        merged = _agreeing(terms, elected, factors if normalize else None)
        if dialect == "paper":
            merged *= elected != 0
        if lambda_ != 1:
            merged *= np.float32(lambda_)
        merged += chunk.origin
        return merged

    return combine


def _agreeing(terms: Sequence[Floats], elected: Floats, factors: Sequence[np.float32] | None) -> Floats:
    """Return the sum of the terms with the elected sign, over the sum of their weights if there are any.

    The terms are overwritten: turned by the elected sign, those that agree are positive.
    """
    signs = elected.view(np.int32) & _SIGN
    zero = np.zeros_like(elected)  # an array, as numpy takes three times as long over the maximum with a scalar
    merged = np.zeros_like(elected)
    divisor = np.full_like(elected, _TINY)
    scratch = np.empty_like(elected)
    for number, term in enumerate(terms):
        bits = term.view(np.int32)
        bits ^= signs
        if factors is not None:
            np.multiply(term > 0, factors[number], out=scratch)
            divisor += scratch
        merged += np.maximum(term, zero, out=term)
    if factors is not None:
        if min(factors) < 0:
            divisor += np.abs(divisor) < _NO_WEIGHT  # divided by 1 where weights cancel out
        merged /= divisor
    bits = merged.view(np.int32)
    bits ^= signs
    return merged
