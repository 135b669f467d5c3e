"""Statistics that tell the truth about small numbers of tests and noisy means.

Plain closed forms, so that a report need not load a statistics package; the tests hold them against one.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

CONFIDENCE = 0.95
"""Confidence of every interval and of every "detectable"."""

Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
"""Standard errors either side of a normal mean: 1.96."""


@dataclass(frozen=True)
class Sampled:
    """A mean, as far as a sample tells it.

    Attributes:
        value: The mean.
        error: Its standard error.
        freedom: Degrees of freedom of that error.
    """

    value: float
    error: float
    freedom: int

    @property
    def interval(self) -> tuple[float, float]:
        """Student's interval at the confidence of all intervals."""
        half = student_quantile(self.freedom) * self.error
        return self.value - half, self.value + half

    @property
    def p(self) -> float:
        """Two-sided p-value of the mean being 0."""
        if self.error == 0:
            return float(self.value == 0)
        return 1 - student(abs(self.value / self.error), self.freedom)


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


def mcnemar(first: Sequence[int], second: Sequence[int]) -> float:
    """Return the exact two-sided p-value of McNemar's test: two models, the same tests, in the same order.

    Only the tests that one passed and the other failed tell the two apart; by chance each falls either way alike.
    Where tests were asked several times, the numbers are how often each was passed: then a test's whole difference
    falls either way alike, for its repeats are not independent of each other (Fisher's randomization test of paired
    differences, which is McNemar's where each test was asked once).
    """
    differences = [abs(int(a) - int(b)) for a, b in zip(first, second, strict=True)]
    sums = Counter({0: 1})  # sum of the differences, each with either sign -> in how many ways it comes about
    for step in filter(None, differences):
        further: Counter[int] = Counter()
        for value, ways in sums.items():
            further[value + step] += ways
            further[value - step] += ways
        sums = further
    found = abs(sum(first) - sum(second))
    return sum(ways for value, ways in sums.items() if abs(value) >= found) / sums.total()


def cohens_h(first: float, second: float) -> float:
    """Return the size of the difference of two rates (Cohen 1988): 0.2 is small, 0.5 medium, 0.8 large."""
    return 2 * math.asin(math.sqrt(first)) - 2 * math.asin(math.sqrt(second))


def clustered(values: Sequence[float], *, resamples: int = 10_000) -> tuple[float, float]:
    """Return the bootstrap interval of a mean over tests: what other tests of the kind would show.

    Whole tests are drawn, with all their repeats: asking one test more often says nothing about other tests. The
    draws are always the same, so that a report can be made again.

    Args:
        values: One number per test.
        resamples: How often as many tests are drawn.

    Returns:
        The lowest and the highest plausible mean, as percentiles of the draws' means.
    """
    import numpy as np

    sample = np.asarray(values, np.float64)
    drawn = np.random.default_rng(0).integers(len(sample), size=(resamples, len(sample)))
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(sample[drawn].mean(axis=1), [tail, 100 - tail])
    return float(low), float(high)


def rate_interval(passed: Sequence[int], asked: int) -> tuple[float, float]:
    """Return the interval of the share of tests passed.

    Wilson's where each was asked once. With repeats, the clustered bootstrap's, but never narrower than Wilson's over
    all answers: where all tests agree, a bootstrap sees no spread at all.

    Args:
        passed: How often each test was passed.
        asked: How often each was asked.
    """
    low, high = wilson(sum(passed), asked * len(passed))
    if asked == 1:
        return low, high
    drawn_low, drawn_high = clustered([each / asked for each in passed])
    return min(low, drawn_low), max(high, drawn_high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for having made several comparisons (Holm 1979), in the order given."""
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


# -- means ----------------------------------------------------------------------------------------------------


def student(t: float, freedom: int) -> float:
    """Return the probability that Student's t lies between -t and t.

    The finite series for whole degrees of freedom (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4): with
    tan a = t / sqrt(freedom), a sum over powers of cos a.
    """
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = term if freedom > 1 else 0.0
    for power in range(2 + odd, freedom - 1, 2):
        term *= (power - 1) / power * math.cos(angle) ** 2
        total += term
    series = math.sin(angle) * total
    return 2 / math.pi * (angle + series) if odd else series


def student_quantile(freedom: int) -> float:
    """Return how many standard errors either side of a mean Student's interval reaches: 2.04 for 31."""
    low, high = 0.0, 2.0
    while student(high, freedom) < CONFIDENCE:
        high *= 2
    for _ in range(60):  # to the last bit
        middle = (low + high) / 2
        low, high = (middle, high) if student(middle, freedom) < CONFIDENCE else (low, middle)
    return high


def mean(sample: Sequence[float]) -> Sampled:
    """Return the mean of independent numbers, at least two."""
    error = statistics.stdev(sample) / math.sqrt(len(sample))
    return Sampled(math.fsum(sample) / len(sample), error, len(sample) - 1)


def weighted(parts: Sequence[Sampled], weights: Sequence[float]) -> Sampled:
    """Return the sum of independent means, each with its weight.

    The degrees of freedom are those of Welch and Satterthwaite, rounded down.
    """
    variances = [(weight * part.error) ** 2 for part, weight in zip(parts, weights, strict=True)]
    value = math.fsum(weight * part.value for part, weight in zip(parts, weights, strict=True))
    return Sampled(
        value, math.sqrt(math.fsum(variances)), _satterthwaite(variances, [part.freedom for part in parts])
    )


def crossed(table: Sequence[Sequence[float]]) -> Sampled:
    """Return the mean of a table whose rows and columns are both samples: each training seed on each chunk of a text.

    What holds for this mean holds for other rows and other columns, not only for those that were drawn. With r rows,
    c columns, and the mean squares of the two-way layout without replication (random effects),

        variance = (MS_rows + MS_columns - MS_rest) / (r c)

    never less than what either rows or columns alone would give; degrees of freedom by Satterthwaite over the same
    terms.

    Args:
        table: At least two rows of at least two numbers.
    """
    rows, columns = len(table), len(table[0])
    by_row = [math.fsum(row) / columns for row in table]
    by_column = [math.fsum(column) / rows for column in zip(*table, strict=True)]
    whole = math.fsum(by_row) / rows
    ms_rows = columns * math.fsum((value - whole) ** 2 for value in by_row) / (rows - 1)
    ms_columns = rows * math.fsum((value - whole) ** 2 for value in by_column) / (columns - 1)
    rest = math.fsum(
        (value - row - column + whole) ** 2
        for line, row in zip(table, by_row, strict=True)
        for value, column in zip(line, by_column, strict=True)
    )
    ms_rest = rest / ((rows - 1) * (columns - 1))
    terms, freedom = [ms_rows, ms_columns, ms_rest], [rows - 1, columns - 1, (rows - 1) * (columns - 1)]
    variance = max(ms_rows + ms_columns - ms_rest, ms_rows, ms_columns)
    error = math.sqrt(variance / (rows * columns))
    return Sampled(whole, error, _satterthwaite(terms, freedom, variance))


def _satterthwaite(terms: Sequence[float], freedom: Sequence[int], total: float | None = None) -> int:
    """Return the degrees of freedom of a sum of variances (Satterthwaite 1946), rounded down.

    Never fewer than the least certain term has: where a term is subtracted, the formula alone could go below.
    """
    whole = math.fsum(terms) if total is None else total
    spread = math.fsum(term**2 / each for term, each in zip(terms, freedom, strict=True))
    return max(min(freedom), math.floor(whole**2 / spread + 1e-9)) if spread > 0 else sum(freedom)
