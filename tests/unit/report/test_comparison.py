"""The algebra of differences and of recovery; errors against numeric differentiation, intervals against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from suture.report.comparison import (
    Measured,
    detectable,
    difference,
    excess,
    log_ratio,
    recoveries,
    recovery,
    rivals,
    text_difference,
)
from suture.report.data import ArmData, Estimate, ReportData

values = st.floats(2, 5000)
relative_errors = st.floats(1e-4, 0.05)
estimates = st.builds(lambda value, share: Estimate(value=value, error=share * value), values, relative_errors)


def unpaired(estimate: Estimate) -> Measured:
    """Return an arm whose chunks are not known."""
    arm = ArmData(name="x", title="x", role="source", quant="", key="", missing=(), perplexity=estimate)
    return Measured(arm, estimate)


def paired(*texts: np.ndarray, tokenizer: str = "t") -> Measured:
    """Return an arm that had these losses on its texts' chunks."""
    everything = np.concatenate(texts)
    estimate = Estimate(value=math.exp(everything.mean()), error=0.3)
    chunks = {f"text-{number}": tuple(text.tolist()) for number, text in enumerate(texts)}
    perplexities = {text: Estimate(value=math.exp(np.mean(losses)), error=0.3) for text, losses in chunks.items()}
    arm = unpaired(estimate).arm.model_copy(
        update={"chunks": chunks, "perplexities": perplexities, "tokenizer": tokenizer}
    )
    return Measured(arm, estimate)


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


@given(raw=estimates, healed=estimates, yardstick=estimates)
def test_recovery_and_its_error(raw: Estimate, healed: Estimate, yardstick: Estimate) -> None:
    found = recovery(unpaired(raw), unpaired(healed), unpaired(yardstick))
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
    merged, yardstick = unpaired(raw), unpaired(source)
    untouched, whole = recovery(merged, merged, yardstick), recovery(merged, yardstick, yardstick)
    assert untouched is not None
    assert untouched.value == 0
    assert whole is not None
    assert whole.value == pytest.approx(1)


@given(first=estimates, second=estimates)
def test_differences_are_antisymmetric(first: Estimate, second: Estimate) -> None:
    there, back = log_ratio(first, second), log_ratio(second, first)
    assert there.value == pytest.approx(-back.value)
    assert there.error == pytest.approx(back.error)
    assert detectable(there) == detectable(back)
    assert 1 + excess(there).value == pytest.approx(first.value / second.value)


@pytest.mark.parametrize(("errors", "told"), [(1.95, False), (-1.95, False), (1.97, True), (-1.97, True)])
def test_unpaired_differences_are_detectable_beyond_1_96_errors(errors: float, told: bool) -> None:
    one = Estimate(value=math.exp(0.01 * errors), error=0.01 * math.exp(0.01 * errors))
    assert detectable(log_ratio(one, Estimate(value=1, error=0))) == told


def test_one_text_is_a_paired_t_test() -> None:
    random = np.random.default_rng(3)
    hardness = random.normal(2.5, 0.4, 24)
    first, second = hardness + random.normal(-0.01, 0.02, 24), hardness + random.normal(0, 0.02, 24)
    found = difference(paired(first), paired(second))
    expected = stats.ttest_rel(first, second)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert found.chunks == 24
    assert text_difference(paired(first).arm, paired(second).arm, "text-0") == found


def test_what_differs_between_texts_is_no_noise() -> None:
    """A model that gains 5 % on one text and loses 4 % on the other differs by 0.5 %, and that is certain."""
    random = np.random.default_rng(4)
    prose, code = random.normal(3, 0.4, 20), random.normal(2, 0.4, 20)
    changed = paired(prose - 0.05 + random.normal(0, 0.004, 20), code + 0.04 + random.normal(0, 0.004, 20))
    found = difference(changed, paired(prose, code))
    assert found.value == pytest.approx(-0.005, abs=0.002)
    assert found.error == pytest.approx(0.004 / math.sqrt(40), rel=0.3)
    assert detectable(found)


def test_paired_recovery_scatters_as_its_error_says() -> None:
    random = np.random.default_rng(5)
    recovered: list[Estimate] = []
    for _ in range(300):
        hardness = random.normal(2.5, 0.4, 32)
        raw, healed, source = (paired(hardness + random.normal(shift, 0.05, 32)) for shift in (0.6, 0.15, 0.0))
        found = recovery(raw, healed, source)
        assert found is not None
        recovered.append(found)
    assert np.mean([each.value for each in recovered]) == pytest.approx(0.75, abs=0.005)
    assert np.std([each.value for each in recovered]) == pytest.approx(
        np.mean([each.error for each in recovered]), rel=0.12
    )


@pytest.mark.parametrize("other", [{"tokenizer": "u"}, {"losses": 19}])
def test_other_chunks_are_not_paired(other: dict[str, object]) -> None:
    losses = np.random.default_rng(6).normal(2, 0.4, 20)
    first = paired(losses)
    second = paired(losses[: other.get("losses", 20)], tokenizer=str(other.get("tokenizer", "t")))
    found = difference(first, second)
    assert found.chunks == 0
    assert found == log_ratio(first.perplexity, second.perplexity)


def test_the_best_source_is_the_yardstick(data: ReportData) -> None:
    (group,) = rivals(data.arms, data.merges)
    assert group.source is not None
    assert group.source.arm.name == "a"
    (found,) = data.recovery
    assert found.of_source is not None
    assert found.of_source.value == pytest.approx(plain_recovery(37.38, 22.31, 20.14))
    assert found.of_control is not None
    assert found.of_control.value == pytest.approx(plain_recovery(37.38, 22.31, 19.05))


def test_quantization_types_are_not_mixed(data: ReportData) -> None:
    def other(arm: ArmData) -> ArmData:
        assert arm.perplexity is not None
        worse = Estimate(value=2 * arm.perplexity.value, error=arm.perplexity.error)
        return arm.model_copy(update={"quant": "Q2_K", "perplexity": worse, "chunks": {}})

    both = recoveries([*data.arms, *(other(arm) for arm in data.arms)], data.merges)
    assert [found.quant for found in both] == ["Q4_K_M", "Q2_K"]
    assert both[0] == data.recovery[0]
    assert both[1].of_source is not None
    assert both[1].of_source.value == pytest.approx(plain_recovery(37.38, 22.31, 20.14))


def test_references_stand_outside(data: ReportData) -> None:
    reference = data.arms[0].model_copy(update={"role": "reference", "quant": "Q4_K_M"})
    assert rivals([*data.arms, reference], data.merges) == rivals(data.arms, data.merges)


def test_a_source_that_no_merge_uses_is_no_yardstick_of_it(blend: ReportData) -> None:
    (group,) = rivals(blend.arms, blend.merges)
    assert [each.arm.name for each in group.apart] == ["mix"]
    assert group.source is not None
    assert group.source.arm.name == "b"
    assert [each.arm.name for each in group.merges] == ["slerp", "arithmetic", "merged"]
    assert group.merged is not None
    assert group.merged.arm.name == "merged"
