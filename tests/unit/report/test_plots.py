from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET

import pytest

from suture.report import plots
from suture.report.data import Estimate, ReportData
from suture.report.plots import PALETTE, data_uri, gates_plot, loss_plot, perplexity_plot, themed


@pytest.fixture
def perplexities(data: ReportData) -> str:
    drawn = perplexity_plot(data)
    assert drawn is not None
    return drawn


@pytest.fixture
def losses(data: ReportData) -> str:
    drawn = loss_plot(data)
    assert drawn is not None
    return drawn


def words(svg: str) -> set[str]:
    return {text.strip() for element in ET.fromstring(svg).iter() if (text := element.text) and text.strip()}  # noqa: S314


def test_the_same_data_give_the_same_bytes(data: ReportData, perplexities: str, losses: str) -> None:
    assert perplexity_plot(data) == perplexities
    assert loss_plot(data) == losses


def test_bars_carry_names_and_numbers(perplexities: str) -> None:
    assert {"a", "b", "merged", "healed", "control", "37.38 ± 0.88", "19.05 ± 0.39"} <= words(perplexities)
    assert "perplexity, lower is better" in words(perplexities)


def test_a_ruined_merge_gets_a_log_scale(data: ReportData) -> None:
    ruined = data.arms[2].model_copy(update={"perplexity": Estimate(value=4784, error=133)})
    drawn = perplexity_plot(data.model_copy(update={"arms": (data.arms[0], ruined)}))
    assert drawn is not None
    assert "perplexity, lower is better (log scale)" in words(drawn)


def test_curves_are_named(losses: str) -> None:
    assert {"a", "b", "healed", "control", "optimizer step"} <= words(losses)


def test_nothing_measured_nothing_drawn(data: ReportData) -> None:
    empty = data.model_copy(update={"arms": (), "trainings": ()})
    assert perplexity_plot(empty) is None
    assert loss_plot(empty) is None
    assert gates_plot(data) is None


def test_gates_are_drawn_by_layer_and_block(data: ReportData) -> None:
    gates = {
        f"model.layers.{layer}.{part}": 0.1 * layer for layer in (4, 5) for part in ("attn.o_proj", "mlp.down_proj")
    }
    healed = data.trainings[2].model_copy(update={"gates": gates})
    drawn = gates_plot(data.model_copy(update={"trainings": (*data.trainings[:2], healed)}))
    assert drawn is not None
    assert {"attention", "feed-forward", "layer of the merge", "factor"} <= words(drawn)
    assert re.findall(r"#[0-9a-f]{6}\b", themed(drawn)) == []


def test_a_themed_plot_has_no_colours_of_its_own(perplexities: str, losses: str) -> None:
    for svg in (perplexities, losses):
        assert PALETTE["ink"] in svg
        assert re.findall(r"#[0-9a-f]{6}\b", themed(svg)) == []
        assert set(re.findall(r"var\(--([a-z0-9-]+)\)", themed(svg))) <= set(PALETTE)


def test_alone_it_has_a_size_and_in_a_page_it_takes_what_there_is(losses: str) -> None:
    alone, inside = ET.fromstring(losses), ET.fromstring(themed(losses))  # noqa: S314
    assert alone.get("viewBox") == inside.get("viewBox")
    assert (alone.get("width"), alone.get("height")) == ("316.8pt", "187.2pt")
    assert (inside.get("width"), inside.get("height")) == (None, None)


def test_ids_of_two_plots_do_not_meet(perplexities: str, losses: str) -> None:
    ids = [re.findall(r'\bid="([^"]+)"', svg) for svg in (perplexities, losses)]
    assert not set(ids[0]) & set(ids[1])
    for svg, known in zip((perplexities, losses), ids, strict=True):
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) <= set(known)


def test_each_arm_has_its_colour(data: ReportData) -> None:
    assert plots.colour("a Q8_0", "source", data) == "source-1"
    assert plots.colour("b", "source", data) == "source-2"
    assert plots.colour("healed Q8_0", "healed", data) == "healed"


def test_a_data_uri_holds_the_plot(losses: str) -> None:
    head, _, content = data_uri(losses).partition(",")
    assert head == "data:image/svg+xml;base64"
    assert base64.b64decode(content).decode() == losses


def test_smoothing_keeps_length_and_level() -> None:
    assert plots._smoothed([2.0] * 40) == pytest.approx([2.0] * 40)
    assert plots._smoothed([1.0, 3.0]) == [1.0, 3.0]
    noisy = [3.0 + (-1) ** step for step in range(64)]
    assert max(plots._smoothed(noisy)[4:-4]) < 3.2
