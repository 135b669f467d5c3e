"""Statistics that tell the truth about small numbers of tests and noisy means.

Plain closed forms, so that a report need not load a statistics package; the tests hold them against one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

CONFIDENCE = 0.95
"""Confidence of every interval and of every "detectable"."""

Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
"""Standard errors either side of a normal mean: 1.96."""


def wilson(passed: int, total: int) -> tuple[float, float]:
    """Return Wilson's score interval of a rate (Wilson 1927), which stays honest at 0 of n and at n of n.

    Args:
        passed: Successes.
        total: Trials, at least 1.

    Returns:
        The lowest and the highest rate that the trials leave plausible, within 0 and 1.
    """
    rate, weight = passed / total, Z**2 / total
    centre = (rate + weight / 2) / (1 + weight)
    half = Z * math.sqrt(rate * (1 - rate) / total + weight / (4 * total)) / (1 + weight)
    return max(0.0, centre - half), min(1.0, centre + half)


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Return the exact two-sided p-value of McNemar's test: two models, the same tests, in the same order.

    Only the tests that one passed and the other failed tell the two apart; by chance each falls either way alike.
    """
    wins = sum(a and not b for a, b in zip(first, second, strict=True))
    losses = sum(b and not a for a, b in zip(first, second, strict=True))
    discordant = wins + losses
    tail = sum(math.comb(discordant, k) for k in range(min(wins, losses) + 1)) / 2**discordant
    return min(1.0, 2 * tail)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for having made several comparisons (Holm 1979), in the order given."""
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
