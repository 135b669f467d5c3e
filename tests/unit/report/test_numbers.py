from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suture.report import numbers
from suture.report.data import Estimate, Interval


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (22.4137, 0.5299, "22.41 ± 0.53"),
        (4784.2, 133.4, "4,784 ± 133"),
        (8.12346, 0.00213, "8.1235 ± 0.0021"),
        (20.0, 1.24, "20.0 ± 1.2"),
        (20.0, 0.0, "20.00 ± 0.00"),
    ],
)
def test_as_many_digits_as_the_error_allows(value: float, error: float, text: str) -> None:
    assert numbers.with_error(Estimate(value=value, error=error)) == text


@pytest.mark.parametrize(
    ("value", "error", "text"), [(0.841, 0.042, "84 ± 4 %"), (1.2, 0.004, "120.0 ± 0.4 %"), (-0.5, 0.1, "-50 ± 10 %")]
)
def test_shares(value: float, error: float, text: str) -> None:
    assert numbers.percent(Estimate(value=value, error=error)) == text


def test_what_is_missing_is_a_dash_and_never_0() -> None:
    shown = [
        numbers.with_error(None),
        numbers.interval(None),
        numbers.milliseconds(None),
        numbers.size(None),
        numbers.duration(None),
        numbers.count(None),
        numbers.plain(None),
        numbers.small_share(None),
    ]
    assert set(shown) == {numbers.MISSING}


def test_units() -> None:
    assert numbers.interval(Interval(low=0.396, high=0.892)) == "40 to 89 %"
    assert numbers.milliseconds(Estimate(value=0.1523, error=0.011)) == "152 ± 11 ms"
    assert numbers.count(18_043_000_000) == "18.0 B"
    assert numbers.count(346_000_000) == "346.0 M"
    assert numbers.count(15_360) == "15,360"


@given(value=st.floats(1, 1e4), share=st.floats(1e-4, 0.3))
def test_the_text_is_within_the_error(value: float, share: float) -> None:
    text = numbers.with_error(Estimate(value=value, error=share * value))
    assert abs(float(text.partition(" ")[0].replace(",", "")) - value) <= share * value
