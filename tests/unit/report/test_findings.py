"""Each finding says gain, loss, or that no difference can be told, and nothing that the numbers do not say."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from suture.report.comparison import recoveries
from suture.report.data import ArmData, Estimate, Finding, ReportData
from suture.report.findings import find
from suture.report.rivalries import rivalries
from tests.unit.report.demo_report import demo_recipe


def with_perplexities(data: ReportData, **values: float | None) -> ReportData:
    """Return the report with other perplexities, each with an error of 2 % and without its chunks."""

    def change(arm: ArmData) -> ArmData:
        if arm.name not in values:
            return arm.model_copy(update={"chunks": {}})
        value = values[arm.name]
        perplexity = value and Estimate(value=value, error=0.02 * value)
        return arm.model_copy(update={"perplexity": perplexity, "chunks": {}})

    return with_arms(data, [change(arm) for arm in data.arms])


def with_arms(data: ReportData, arms: Sequence[ArmData]) -> ReportData:
    compared = {"recovery": recoveries(arms, data.merges), "rivalries": rivalries(arms)}
    return data.model_copy(update={"arms": tuple(arms), **compared})


def with_answers(data: ReportData, **answers: str) -> ReportData:
    """Return the report with other answers to the tests: `1` passed, `0` failed."""

    def change(arm: ArmData) -> ArmData:
        tests = tuple(
            arm.tests[0].model_copy(update={"id": f"test-{number}", "passed": int(answer), "asked": 1})
            for number, answer in enumerate(answers[arm.name])
        )
        return arm.model_copy(update={"tests": tests, "passed": answers[arm.name].count("1"), "total": len(tests)})

    return with_arms(data, [change(arm) for arm in data.arms if arm.name in answers])


def about(data: ReportData, subject: str) -> list[Finding]:
    return [finding for finding in find(data, demo_recipe()) if finding.about == subject]


@pytest.mark.parametrize(
    ("merged", "tone", "words"),
    [
        (37.0, "loss", "does not beat its sources"),
        (20.5, "even", "no difference is detectable"),
        (15.0, "gain", "beats its sources"),
    ],
)
def test_the_merge_against_its_best_source(data: ReportData, merged: float, tone: str, words: str) -> None:
    (finding,) = about(with_perplexities(data, a=20, b=30, merged=merged), "merge")
    assert finding.tone == tone
    assert words in finding.text
    assert "of source a" in finding.numbers


@pytest.mark.parametrize(
    ("healed", "tone", "words"),
    [
        (22.0, "gain", "closed 85 ± 4 % of the gap"),
        (36.8, "even", "no detectable difference"),
        (60.0, "loss", "made the merge worse"),
    ],
)
def test_the_healed_merge_against_the_raw_one(data: ReportData, healed: float, tone: str, words: str) -> None:
    finding = about(with_perplexities(data, a=20, b=21, merged=37, healed=healed), "healing")[0]
    assert finding.tone == tone
    assert words in finding.text


def test_where_the_merge_did_no_harm_there_is_no_gap_to_close(data: ReportData) -> None:
    harmless = with_perplexities(data, a=20, b=21, merged=20.3, healed=15)
    assert harmless.recovery[0].of_source is None
    finding = about(harmless, "healing")[0]
    assert finding.tone == "gain"
    assert "gap" not in finding.text


@pytest.mark.parametrize(
    ("control", "tone", "words"),
    [
        (19.0, "loss", "does not reach the control"),
        (22.2, "even", "no difference is detectable"),
        (30.0, "gain", "beats the control"),
    ],
)
def test_the_healed_merge_against_the_control(data: ReportData, control: float, tone: str, words: str) -> None:
    (finding,) = about(with_perplexities(data, healed=22, control=control), "control")
    assert finding.tone == tone
    assert words in finding.text


def test_a_healed_merge_that_stays_behind_its_sources_is_said_to(data: ReportData) -> None:
    _, against_source = about(data, "healing")
    assert against_source.tone == "loss"
    assert against_source.text == "The healed merge does not beat its sources."
    assert against_source.numbers == (
        "Perplexity 22.31 ± 0.47 against 20.14 ± 0.42 of source a: 10.8 ± 0.2 % higher on the same 32 chunks."
    )


def test_without_the_chunks_the_same_difference_is_less_certain(data: ReportData) -> None:
    _, against_source = about(with_perplexities(data), "healing")
    assert against_source.numbers == "Perplexity 22.31 ± 0.47 against 20.14 ± 0.42 of source a: 11 ± 3 % higher."


def test_without_a_control_nothing_is_said_of_one(data: ReportData) -> None:
    assert about(with_perplexities(data, control=None), "control") == []
    assert about(with_arms(data, data.arms[:2]), "merge") == []


def test_few_flipped_tests_are_no_difference(data: ReportData) -> None:
    (finding,) = about(with_answers(data, a="1" * 41 + "000", merged="1" * 39 + "00000"), "tests")
    assert finding.tone == "even"
    assert "no detectable difference" in finding.text
    assert "Smallest p = 0.5" in finding.numbers


def test_many_flipped_tests_are_one(data: ReportData) -> None:
    (finding,) = about(with_answers(data, a="1" * 44, merged="1" * 20 + "0" * 24), "tests")
    assert finding.text == "On the tests source a is better than the raw merge."
    assert finding.numbers.startswith("44 of 44 against 20 of 44, p = ")


def test_comparing_many_pairs_asks_for_more(data: ReportData) -> None:
    """Six flips of six are p = 0.03 for one pair, and nothing among ten pairs."""
    two = with_answers(data, a="111111", merged="000000")
    five = with_answers(data, a="111111", merged="000000", b="110011", healed="111100", control="001111")
    assert about(two, "tests")[0].tone == "note"
    assert [finding.tone for finding in about(five, "tests")] == ["even"]


def test_cost_compares_with_the_best_source(data: ReportData) -> None:
    (finding,) = about(data, "cost")
    assert finding.text == (
        "The healed merge takes 1.45 times the disk of source a, and generates at 0.66 times its speed."
    )
    assert finding.numbers == "152.40 MB against 105.45 MB; 41.3 ± 0.9 against 62.8 ± 0.9 tokens/s."


def test_speeds_that_cannot_be_told_apart(data: ReportData) -> None:
    noisy = [arm.model_copy(update={"tokens_per_second_error": 20.0}) for arm in data.arms]
    (finding,) = about(with_arms(data, noisy), "cost")
    assert finding.text.endswith("and no difference in speed is detectable.")


def test_what_is_missing_is_said_once(data: ReportData) -> None:
    lame = [arm.model_copy(update={"missing": ("benchmark",), "tests": ()}) for arm in data.arms]
    (finding,) = about(with_arms(data, lame), "missing")
    assert (
        finding.text == "Of source a, source b, the raw merge, the healed merge, the control there is no benchmark."
    )


def test_what_is_missing_comes_first(data: ReportData) -> None:
    lame = data.arms[3].model_copy(update={"missing": ("perplexity", "benchmark"), "perplexity": None, "tests": ()})
    first = find(with_arms(data, [*data.arms[:3], lame]), demo_recipe())[0]
    assert first.about == "missing"
    assert first.text == "Of the healed merge there is no perplexity, no benchmark."


def test_several_types_are_told_apart(data: ReportData) -> None:
    other = [arm.model_copy(update={"name": f"{arm.name} Q2_K", "quant": "Q2_K"}) for arm in data.arms]
    texts = [finding.text for finding in about(with_arms(data, [*data.arms, *other]), "merge")]
    assert [text.partition(":")[0] for text in texts] == ["Q4_K_M", "Q2_K"]


def test_notes_on_sources_and_tensors(data: ReportData) -> None:
    broken = data.sources[1].model_copy(update={"nan": 7})
    texts = [str(note) for note in about(data.model_copy(update={"sources": (data.sources[0], broken)}), "note")]
    assert "builtin:smollm2-135m-instruct (a, b): Its weights were 4-bit (Q4_1) before." in texts
    assert "Source b holds 7 weights that are not a number and 0 that are infinite." in texts
    assert any("90 of source a, 90 of source b, 90 of the raw merge" in text for text in texts)


def test_perplexities_of_other_tokenizers_carry_a_warning(data: ReportData) -> None:
    reference = data.arms[0].model_copy(update={"name": "big", "role": "reference"})
    warned = about(with_arms(data, [*data.arms, reference]), "note")[-1]
    assert "different tokenizers" in warned.text
    assert "different tokenizers" not in about(data, "note")[-1].text
