"""The algebra of recovery, and its error against plain numeric differentiation."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from suture.report.comparison import detectable, excess, log_ratio, recoveries, recovery, rivals
from suture.report.data import ArmData, Estimate, ReportData

values = st.floats(2, 5000)
relative_errors = st.floats(1e-4, 0.05)
estimates = st.builds(lambda value, share: Estimate(value=value, error=share * value), values, relative_errors)


def plain_recovery(raw: float, healed: float, yardstick: float) -> float:
    return (math.log(raw) - math.log(healed)) / (math.log(raw) - math.log(yardstick))


def numeric_error(raw: Estimate, healed: Estimate, yardstick: Estimate) -> float:
    """Propagate each error by moving its value a little to both sides."""
    total = 0.0
    arguments = [raw, healed, yardstick]
    for index, estimate in enumerate(arguments):
        step = 1e-6 * estimate.value
        low, high = [each.value for each in arguments], [each.value for each in arguments]
        low[index] -= step
        high[index] += step
        slope = (plain_recovery(*high) - plain_recovery(*low)) / (2 * step)
        total += (slope * estimate.error) ** 2
    return math.sqrt(total)


@settings(deadline=None)
@given(raw=estimates, healed=estimates, yardstick=estimates)
def test_recovery_and_its_error(raw: Estimate, healed: Estimate, yardstick: Estimate) -> None:
    found = recovery(raw, healed, yardstick)
    gap = log_ratio(raw, yardstick)
    if gap.value <= 0 or not detectable(gap):
        assert found is None
        return
    assume(gap.value > 0.01)
    assert found is not None
    assert found.value == pytest.approx(plain_recovery(raw.value, healed.value, yardstick.value))
    assert found.error == pytest.approx(numeric_error(raw, healed, yardstick), rel=1e-4)


def test_recovery_is_0_at_the_raw_merge_and_1_at_the_yardstick() -> None:
    raw, source = Estimate(value=37.4, error=0.9), Estimate(value=20.6, error=0.5)
    untouched, whole = recovery(raw, raw, source), recovery(raw, source, source)
    assert untouched is not None
    assert untouched.value == 0
    assert whole is not None
    assert whole.value == pytest.approx(1)


@settings(deadline=None)
@given(first=estimates, second=estimates)
def test_differences_are_antisymmetric(first: Estimate, second: Estimate) -> None:
    there, back = log_ratio(first, second), log_ratio(second, first)
    assert there.value == pytest.approx(-back.value)
    assert there.error == pytest.approx(back.error)
    assert detectable(there) == detectable(back)
    assert 1 + excess(first, second).value == pytest.approx(first.value / second.value)


def test_only_differences_beyond_1_96_errors_are_detectable() -> None:
    assert not detectable(Estimate(value=1.95, error=1))
    assert detectable(Estimate(value=-1.97, error=1))


def test_the_best_source_is_the_yardstick(data: ReportData) -> None:
    (group,) = rivals(data.arms)
    assert group.source is not None
    assert group.source.name == "a"
    (found,) = data.recovery
    assert found.of_source is not None
    assert found.of_source.value == pytest.approx(plain_recovery(37.38, 22.31, 20.14))
    assert found.of_control is not None
    assert found.of_control.value == pytest.approx(plain_recovery(37.38, 22.31, 19.05))


def test_quantization_types_are_not_mixed(data: ReportData) -> None:
    def other(arm: ArmData) -> ArmData:
        assert arm.perplexity is not None
        worse = Estimate(value=2 * arm.perplexity.value, error=arm.perplexity.error)
        return arm.model_copy(update={"quant": "Q2_K", "perplexity": worse})

    both = recoveries([*data.arms, *(other(arm) for arm in data.arms)])
    assert [found.quant for found in both] == ["Q4_K_M", "Q2_K"]
    assert both[0] == data.recovery[0]
    assert both[1].of_source is not None
    assert both[1].of_source.value == pytest.approx(plain_recovery(37.38, 22.31, 20.14))


def test_references_stand_outside(data: ReportData) -> None:
    reference = data.arms[0].model_copy(update={"role": "reference", "quant": "Q4_K_M"})
    assert rivals([*data.arms, reference]) == rivals(data.arms)
