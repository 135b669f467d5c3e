"""Every closed form against statsmodels, whose code shares nothing with ours."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from suture.statistics import Z, holm, mcnemar, wilson

outcomes = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


@settings(deadline=None)
@given(total=st.integers(1, 500), share=st.floats(0, 1))
def test_wilson_is_that_of_statsmodels(total: int, share: float) -> None:
    passed = round(share * total)
    assert wilson(passed, total) == pytest.approx(proportion_confint(passed, total, method="wilson"), abs=1e-12)


def test_wilson_of_the_published_totals_overlap() -> None:
    source, raw = wilson(41, 44), wilson(39, 44)
    assert source[0] < raw[1]
    assert wilson(0, 10)[0] == pytest.approx(0)
    assert wilson(10, 10)[1] == pytest.approx(1)


@settings(deadline=None)
@given(pairs=outcomes)
def test_mcnemar_is_that_of_statsmodels(pairs: list[tuple[bool, bool]]) -> None:
    table = [[sum(pair == (row, column) for pair in pairs) for column in (True, False)] for row in (True, False)]
    first, second = zip(*pairs, strict=True)
    expected = reference_mcnemar(table, exact=True).pvalue  # pyright: ignore[reportAttributeAccessIssue]
    assert mcnemar(first, second) == pytest.approx(expected, abs=1e-12)


def test_one_flipped_test_is_nothing() -> None:
    assert mcnemar([True] * 44, [True] * 43 + [False]) == 1.0


def test_both_must_have_answered_the_same_tests() -> None:
    with pytest.raises(ValueError, match="shorter"):
        mcnemar([True, True], [True])


@settings(max_examples=15, deadline=None)  # statsmodels takes 50 ms for each
@given(p_values=st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)


def test_z_is_that_of_95_percent() -> None:
    assert pytest.approx(1.959963984540054) == Z
