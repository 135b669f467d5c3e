"""Rival merges against their parents: verdicts, what is claimed of them, and how it is shown."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from suture.report.data import ArmData, Difference, Interval, ReportData
from suture.report.findings import find
from suture.report.html import html_page
from suture.report.markdown import markdown_page
from suture.report.plots import PALETTE, standings_plot
from suture.report.standings import standings, verdict
from suture.report.tables import merge_rows, standing_rows
from tests.unit.report.demo_report import BLENDED, blend_recipe


def apart(value: float, error: float = 1.0) -> Difference:
    interval = Interval(low=value - 2 * error, high=value + 2 * error)
    return Difference(
        value=value, error=error, interval=interval, p=0.001 if abs(value) > 2 * error else 0.5, chunks=9
    )


@pytest.mark.parametrize(
    ("to_a", "to_b", "said"),
    [
        (-3, -9, "better"),
        (-1, -9, "even"),
        (1, -1, "even"),
        (3, -9, "between"),
        (9, 1, "between"),
        (9, 3, "worse"),
    ],
)
def test_verdicts(to_a: float, to_b: float, said: str) -> None:
    assert verdict([apart(to_a), apart(to_b)]) == said
    assert verdict([apart(to_b), apart(to_a)]) == said


def test_each_merge_stands_against_the_best_parent_of_each_text(blend: ReportData) -> None:
    found = {(row.model, row.text): row for row in blend.standings}
    assert list(found) == [
        (model, text) for model in ("slerp", "arithmetic", "merged", "mix") for text in ("prose", "code")
    ]
    assert {row.parent for row in blend.standings if row.text == "prose"} == {"b"}
    assert {row.parent for row in blend.standings if row.text == "code"} == {"a"}
    assert {key: row.verdict for key, row in found.items()} == {
        ("slerp", "prose"): "better",
        ("slerp", "code"): "even",
        ("arithmetic", "prose"): "worse",
        ("arithmetic", "code"): "worse",
        ("merged", "prose"): "better",
        ("merged", "code"): "better",
        ("mix", "prose"): "between",
        ("mix", "code"): "better",
    }
    best = found["merged", "prose"].difference
    assert best.value == pytest.approx(-0.0194, abs=1e-4)  # log(15.80 / 16.11)
    assert best.chunks == 16
    assert best.error < 0.005


def test_a_single_stack_has_no_standings(data: ReportData) -> None:
    assert data.standings == ()
    assert standings(data.arms, data.merges) == ()


def test_types_are_not_mixed(blend: ReportData) -> None:
    def other(arm: ArmData) -> ArmData:
        return arm.model_copy(update={"name": f"{arm.name} Q2_K", "quant": "Q2_K"})

    both = standings([*blend.arms, *map(other, blend.arms)], blend.merges)
    assert both[: len(blend.standings)] == blend.standings
    assert {row.parent for row in both[len(blend.standings) :]} == {"a Q2_K", "b Q2_K"}


def test_a_parent_without_a_number_is_no_yardstick(blend: ReportData) -> None:
    arms = [
        arm.model_copy(update={"perplexities": {}, "chunks": {}}) if arm.name == "b" else arm for arm in blend.arms
    ]
    assert {row.parent for row in standings(arms, blend.merges)} == {"a"}
    assert standings([arm for arm in blend.arms if arm.role == "merged"], blend.merges) == ()


def claims(data: ReportData) -> list[str]:
    return [str(finding) for finding in find(data, blend_recipe()) if finding.about == "merge"]


def test_findings_name_the_merges_that_win(blend: ReportData) -> None:
    whole, winners, mix = claims(blend)
    assert whole.startswith("The merge beats its sources. Perplexity 11.86 ± 0.24 against 12.26 ± 0.25 of source b:")
    assert winners.startswith(
        "1 of 3 merges is better than each parent on every text: merged. "
        "The merge: on prose 1.9 ± 0.2 % lower than b on the same 16 chunks; on code 2.4 ± 0.2 % lower than a"
    )
    assert winners.endswith("Corrected for 3 merges (Holm).")
    assert mix.startswith("The merge, the best of 3, beats source mix, which no merge uses.")


def test_findings_say_so_when_no_merge_wins(blend: ReportData) -> None:
    without = blend.model_copy(
        update={"standings": tuple(row for row in blend.standings if row.model in ("slerp", "arithmetic"))}
    )
    finding = next(each for each in find(without, blend_recipe()) if "No merge" in each.text)
    assert finding.text == "No merge is detectably better than each of its parents on every text."
    assert finding.tone == "even"
    assert finding.numbers.startswith("Merge slerp: on prose")
    lost = without.model_copy(update={"standings": tuple(row for row in without.standings if row.model != "slerp")})
    finding = next(each for each in find(lost, blend_recipe()) if "parents" in each.text)
    assert finding.text == "Merge arithmetic is not better than each of its parents on every text."
    assert finding.tone == "loss"


def test_a_narrow_win_among_many_tries_is_none(blend: ReportData) -> None:
    """p = 0.03 is a win for one merge, and nothing for the best of three."""
    narrow = tuple(row.model_copy(update={"p": 0.03 if row.model == "merged" else 1.0}) for row in blend.standings)
    alone = tuple(row for row in narrow if row.model == "merged")
    assert "No merge is detectably better" in claims(blend.model_copy(update={"standings": narrow}))[1]
    assert "The merge is better than each of its parents" in claims(blend.model_copy(update={"standings": alone}))[1]


def test_the_table_says_how_far_and_how_sure(blend: ReportData) -> None:
    rows = {(row["model"], row["text"]): row for row in standing_rows(blend)}
    merged = rows["merged", "prose"]
    assert (merged["method"], merged["best parent"], merged["difference"]) == ("linear", "b", "\N{MINUS SIGN}1.92 %")
    assert merged["verdict"] == "better than each parent"
    assert rows["arithmetic", "prose"]["difference"].startswith("+")
    assert rows["mix", "prose"]["method"] == "no merge"


def test_the_plot_has_a_panel_per_text_and_a_row_per_model(blend: ReportData, data: ReportData) -> None:
    drawn = standings_plot(blend)
    assert drawn is not None
    words = [text.strip() for each in ET.fromstring(drawn).iter() if (text := each.text) and text.strip()]  # noqa: S314
    assert {"prose: best parent b", "code: best parent a"} <= set(words)
    for name in ("slerp", "arithmetic", "merged (linear)", "mix"):
        assert words.count(name) == 2
    assert drawn.count(PALETTE["merged"]) > drawn.count(PALETTE["source-4"]) > 0
    assert standings_plot(blend) == drawn
    assert standings_plot(data) is None


def test_both_pages_show_them(blend: ReportData, data: ReportData) -> None:
    page, text = html_page(blend), markdown_page(blend)
    assert "<h2>Merges against their parents</h2>" in page
    assert "## Merges against their parents" in text
    assert "![Merges against their parents, 95 % intervals](data:image" in text
    assert "Merges against" not in html_page(data) + markdown_page(data)


def test_every_merge_is_accounted_for(blend: ReportData, data: ReportData) -> None:
    rows = {row["merge"]: row for row in merge_rows(blend)}
    assert list(rows) == ["slerp", "arithmetic", "merged"]
    assert rows["slerp"]["settings"] == "t 0.4 0.6, dialect paper"
    assert rows["arithmetic"]["settings"] == "normalize no, lambda 0.8, dialect paper"
    assert rows["merged"]["models"] == "a (weight 1), b (weight 1)"
    assert rows["merged"]["computed"] == "272"
    single = {row["what"]: row["value"] for row in merge_rows(data)}
    assert single["models"] == "a 0 to 23, b 6 to 29"
    assert single["left out of a: layer not in a slice"] == "6"


def test_arms_of_rival_merges_are_told_apart(blend: ReportData) -> None:
    titles = {arm.name: arm.title for arm in blend.arms}
    assert set(titles) == set(BLENDED)
    assert (titles["slerp"], titles["merged"], titles["mix"]) == ("merge slerp", "the merge", "source mix")


def test_notes_of_a_merge_are_findings(blend: ReportData) -> None:
    notes = [str(each) for each in find(blend, blend_recipe()) if each.about == "note"]
    assert "Merge arithmetic: 2 tensors hold numbers that are too large for 16 bits" in notes
