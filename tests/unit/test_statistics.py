"""Every closed form against scipy or statsmodels, whose code shares nothing with ours."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint, proportion_effectsize

from suture.statistics import (
    Sampled,
    Z,
    clustered,
    cohens_h,
    crossed,
    holm,
    mcnemar,
    mean,
    rate_interval,
    student,
    student_quantile,
    weighted,
    wilson,
)

outcomes = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


@given(total=st.integers(1, 500), share=st.floats(0, 1))
def test_wilson_is_that_of_statsmodels(total: int, share: float) -> None:
    passed = round(share * total)
    assert wilson(passed, total) == pytest.approx(proportion_confint(passed, total, method="wilson"), abs=1e-12)


def test_wilson_of_the_published_totals_overlap() -> None:
    source, raw = wilson(41, 44), wilson(39, 44)
    assert source[0] < raw[1]
    assert wilson(0, 10)[0] == pytest.approx(0)
    assert wilson(10, 10)[1] == pytest.approx(1)


@given(pairs=outcomes)
def test_mcnemar_is_that_of_statsmodels(pairs: list[tuple[bool, bool]]) -> None:
    table = [[sum(pair == (row, column) for pair in pairs) for column in (True, False)] for row in (True, False)]
    first, second = zip(*pairs, strict=True)
    expected = reference_mcnemar(table, exact=True).pvalue  # pyright: ignore[reportAttributeAccessIssue]
    assert mcnemar(first, second) == pytest.approx(expected, abs=1e-12)


def test_one_flipped_test_is_nothing() -> None:
    assert mcnemar([True] * 44, [True] * 43 + [False]) == 1.0


@given(pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=9))
def test_with_repeats_every_way_of_exchanging_the_models_is_counted(pairs: list[tuple[int, int]]) -> None:
    differences = [a - b for a, b in pairs]
    ways = [
        abs(sum(sign * each for sign, each in zip(signs, differences, strict=True))) >= abs(sum(differences))
        for signs in itertools.product((1, -1), repeat=len(pairs))
    ]
    first, second = zip(*pairs, strict=True)
    assert mcnemar(first, second) == pytest.approx(sum(ways) / len(ways))


def test_asking_a_test_more_often_makes_no_test_of_it() -> None:
    """Two tests that differ cannot tell two models apart, however often they are asked."""
    assert mcnemar([100, 100], [0, 0]) == 0.5


@given(first=st.floats(0, 1), second=st.floats(0, 1))
def test_cohens_h_is_that_of_statsmodels(first: float, second: float) -> None:
    assert cohens_h(first, second) == pytest.approx(proportion_effectsize(first, second), abs=1e-12)


def test_the_clustered_bootstrap_has_the_spread_of_the_tests() -> None:
    values = np.random.default_rng(1).choice([0.0, 0.2, 1.0], 400)
    low, high = clustered(values.tolist())
    half = 1.96 * values.std() / np.sqrt(400)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.004)
    assert clustered(values.tolist()) == (low, high)


def test_repeats_do_not_make_an_interval_narrow() -> None:
    once = rate_interval([1] * 22 + [0] * 22, 1)
    assert once == wilson(22, 44)
    often = rate_interval([100] * 22 + [0] * 22, 100)
    assert often == pytest.approx(once, abs=0.02)
    assert rate_interval([5] * 44, 5) == pytest.approx(wilson(220, 220))


def test_the_published_totals_are_no_difference() -> None:
    """41, 39 and 40 of 44: the counts of the published run, flipped as little as they allow."""
    source, raw, healed = ([1] * passed + [0] * (44 - passed) for passed in (41, 39, 40))
    for first, second in ((source, raw), (source, healed), (healed, raw)):
        assert mcnemar(first, second) >= 0.5
        low, high = clustered([a - b for a, b in zip(first, second, strict=True)])
        assert low <= 0 <= high


def test_both_must_have_answered_the_same_tests() -> None:
    with pytest.raises(ValueError, match="shorter"):
        mcnemar([True, True], [True])


@settings(max_examples=15)  # statsmodels takes 50 ms for each
@given(p_values=st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)


def test_z_is_that_of_95_percent() -> None:
    assert pytest.approx(1.959963984540054) == Z


# -- means ----------------------------------------------------------------------------------------------------


@given(t=st.floats(0, 50), freedom=st.integers(1, 400))
def test_student_is_that_of_scipy(t: float, freedom: int) -> None:
    # the incomplete beta function: 1 - 2 stats.t.sf is 0 for one degree of freedom and t up to 1e-9
    by_scipy = special.betainc(0.5, freedom / 2, t * t / (freedom + t * t))
    assert student(t, freedom) == pytest.approx(by_scipy, abs=1e-12)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 31, 63, 1000])
def test_its_quantile_is_that_of_scipy(freedom: int) -> None:
    assert student_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-12)


def test_a_mean_has_the_interval_and_p_value_of_a_t_test() -> None:
    sample = np.random.default_rng(1).normal(0.3, 1, 12)
    found, expected = mean(sample.tolist()), stats.ttest_1samp(sample, 0)
    assert found.interval == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert found.p == pytest.approx(expected.pvalue)


@pytest.mark.parametrize(("value", "p"), [(0.0, 1.0), (0.1, 0.0)])
def test_without_scatter_a_difference_is_certain(value: float, p: float) -> None:
    found = mean([value] * 5)
    assert found.p == p
    assert found.interval == (value, value)


def test_the_difference_of_two_means_is_welchs_test() -> None:
    random = np.random.default_rng(2)
    first, second = random.normal(1, 1, 9), random.normal(0, 3, 14)
    found = weighted([mean(first.tolist()), mean(second.tolist())], [1, -1])
    expected = stats.ttest_ind(first, second, equal_var=False)
    assert found.value / found.error == pytest.approx(expected.statistic)
    assert found.freedom == math.floor(expected.df)


def test_certain_means_add_up_to_a_certain_one() -> None:
    assert weighted([mean([1.0, 1.0]), mean([3.0] * 4)], [0.25, 0.75]) == Sampled(2.5, 0.0, 4)


@pytest.mark.parametrize("seeds", [0.0, 0.2, 1.0])
def test_a_crossed_interval_holds_for_other_seeds_and_other_chunks(seeds: float) -> None:
    """In at least 90 of 100 repetitions it covers the mean of all seeds and chunks, which is 0."""
    random = np.random.default_rng(7)
    covered = 0
    for _ in range(400):
        table = random.normal(0, seeds, (3, 1)) + random.normal(0, 1, (1, 48)) + random.normal(0, 0.7, (3, 48))
        low, high = crossed(table.tolist()).interval
        covered += low <= 0 <= high
    assert 0.9 <= covered / 400 <= 0.995


def test_crossed_rows_that_agree_are_one_row() -> None:
    row = np.random.default_rng(8).normal(0.2, 1, 30).tolist()
    found, alone = crossed([row, row, row]), mean(row)
    assert (found.value, found.error) == (pytest.approx(alone.value), pytest.approx(alone.error))
    assert found.freedom == alone.freedom
