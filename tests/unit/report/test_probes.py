"""What the report makes of probes: whose layers a stack has where, sentences about the seam, tables and plots."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from suture.report.data import Estimate, Finding, ProbeData, ReportData
from suture.report.gather import gather
from suture.report.html import html_page
from suture.report.inputs import ProbeView, ReportInput
from suture.report.markdown import markdown_page
from suture.report.plots import PALETTE, themed
from suture.report.probe_plots import position_plot, seam_plot
from suture.report.probes import layers_of_source, losses_of, perplexity_of, seams_of, stretches
from suture.report.seams import seam_findings
from suture.report.tables import position_rows
from suture.store import Store
from tests.unit.report.demo_report import Made

BUCKETS, CONTEXT, CHUNKS = 16, 512, 6
ROLES = {"a": "source", "b": "source", "merged": "merged", "healed": "healed", "control": "control"}
LOSS = {"a": 3.0, "b": 3.1, "merged": 3.6, "healed": 3.2, "control": 2.9}


def losses(base: float, gain_late: float = 0.0) -> list[list[float]]:
    """Return losses of 6 chunks in 16 buckets; what makes a chunk hard is the same for all models."""
    hard = np.random.default_rng(0).normal(0, 0.4, (BUCKETS, CHUNKS))
    own = np.random.default_rng(round(1000 * base)).normal(0, 0.01, (BUCKETS, CHUNKS))
    late = np.where(np.arange(BUCKETS) >= BUCKETS // 2, gain_late, 0.0)[:, None]
    return (base + hard + own - late).tolist()


def facts_of(norms: Sequence[float], cosines: Sequence[float], lost: Sequence[Sequence[float]]) -> dict[str, Any]:
    width = CONTEXT // BUCKETS
    return {
        "text": "builtin:prose",
        "chunks": CHUNKS,
        "context": CONTEXT,
        "device": "x86_64 AVX2",
        "start": {"value": 3.0, "error": 0.1},
        "layers": [
            {
                "norm": {"value": norm, "error": 0.01 * norm},
                "cosine": {"value": cosine, "error": 0.001},
                "added": {"value": 2 * math.sin(math.acos(cosine) / 2), "error": 0.002},
            }
            for norm, cosine in zip(norms, cosines, strict=True)
        ],
        "positions": [
            {"first": max(1, width * bucket), "last": width * (bucket + 1) - 1, "losses": chunk}
            for bucket, chunk in enumerate(lost)
        ],
    }


def source_norms(count: int = 30) -> list[float]:
    return [20.0 * 1.1**layer for layer in range(count)]


def probes_facts(healed_cosine: float = 0.97, gain_late: float = 0.0) -> Mapping[str, dict[str, Any]]:
    """Return facts of a stack whose layers above the seam read a stream that is far too large for them."""
    stack = source_norms(24) + [20.0 * 1.1**23] * 24
    raw = [0.95] * 24 + [0.99] * 24
    return {
        "a": facts_of(source_norms(), [0.95] * 30, losses(LOSS["a"])),
        "b": facts_of(source_norms(), [0.95] * 30, losses(LOSS["b"])),
        "merged": facts_of(stack, raw, losses(LOSS["merged"])),
        "healed": facts_of(stack, [0.95] * 24 + [healed_cosine] * 24, losses(LOSS["healed"], gain_late)),
        "control": facts_of(source_norms(), [0.95] * 30, losses(LOSS["control"])),
    }


def probes_of(facts: Mapping[str, dict[str, Any]]) -> tuple[ProbeData, ...]:
    titles = {"merged": "the raw merge", "healed": "the healed merge"}
    return tuple(
        ProbeData.model_validate(
            {"name": name, "title": titles.get(name, name), "role": ROLES[name], "key": name, **each}
        )
        for name, each in facts.items()
    )


@pytest.fixture
def probed(data: ReportData) -> ReportData:
    """The demo's report, with probes."""
    return data.model_copy(update={"probes": probes_of(probes_facts())})


def sentences(data: ReportData, facts: Mapping[str, dict[str, Any]]) -> list[Finding]:
    return list(seam_findings(probes_of(facts), data.merges))


def words(svg: str) -> set[str]:
    return {text.strip() for element in ET.fromstring(svg).iter() if (text := element.text) and text.strip()}  # noqa: S314


def test_gathered_from_the_artifacts(store: Store, demo: ReportInput, data: ReportData) -> None:
    made, facts = Made(store), probes_facts()
    keys = {name: made.step(f"probe {name}", each) for name, each in facts.items()}
    views = tuple(ProbeView.model_validate({"name": name, "role": ROLES[name], "key": keys[name]}) for name in keys)
    store.remove(keys["control"])
    asked = demo.model_copy(update={"probes": views, "steps": (*demo.steps, *made.steps)})
    found = gather(store, asked)
    assert [(probe.name, probe.title) for probe in found.probes] == [
        ("a", "source a"),
        ("b", "source b"),
        ("merged", "the raw merge"),
        ("healed", "the healed merge"),
    ]
    merged = found.probes[2]
    assert merged.layers[24].cosine == Estimate(value=0.99, error=0.001)
    assert (merged.positions[0].first, merged.positions[15].last) == (1, 511)
    assert ReportData.model_validate_json(found.model_dump_json()) == found
    assert len(found.findings) == len(data.findings) + 3


def test_a_sources_layers_are_where_the_stack_has_them(probed: ReportData) -> None:
    a, b, *_ = probed.probes
    (merge,) = probed.merges
    assert layers_of_source(a, merge) == [(0, a.layers[:24])]
    assert layers_of_source(b, merge) == [(24, b.layers[6:30])]
    (seam,) = seams_of(merge)
    assert (seam.layer, seam.source, seam.layer_of_source) == (24, "b", 6)


def test_a_blend_has_no_seam_to_speak_of(blend: ReportData, probed: ReportData) -> None:
    a, *_ = probed.probes
    assert seams_of(blend.merges[-1]) == ()
    assert layers_of_source(a, blend.merges[-1]) == [(0, a.layers)]
    assert list(seam_findings(probed.probes[:3], blend.merges)) == []


def test_perplexity_weighs_positions_by_their_tokens(probed: ReportData) -> None:
    positions = probed.probes[0].positions
    matrix = np.array(losses(LOSS["a"]))
    tokens = np.array([31] + [32] * 15)
    chunks = (tokens[:, None] * matrix).sum(axis=0) / 511
    assert losses_of(positions) == pytest.approx(chunks)
    found = perplexity_of(positions)
    assert found.value == pytest.approx(np.exp(chunks.mean()))
    assert found.error == pytest.approx(found.value * stats.sem(chunks))
    assert [(part[0].first, part[-1].last) for part in stretches(positions, 2)] == [(1, 255), (256, 511)]


def test_the_stream_at_the_seam_is_too_large(data: ReportData) -> None:
    stream, *_ = sentences(data, probes_facts())
    ratio = 1.1**23 / 1.1**5
    assert stream.text == (
        f"At the seam before layer 24, layer 6 of b reads a residual stream {ratio:.2f} times as large as in b."
    )
    assert "Norm 179.1 ± 1.8 against 32.21 ± 0.32." in stream.numbers
    assert "14 % of the stream in the raw merge, 32 % in b" in stream.numbers


def test_a_stream_of_the_known_size_is_not_called_too_large(data: ReportData) -> None:
    facts = dict(probes_facts())
    facts["merged"]["layers"][23]["norm"] = {"value": 32.3, "error": 0.3}
    stream, *_ = sentences(data, facts)
    assert "of a size that cannot be told from that in b" in stream.text


def test_a_seam_that_begins_a_source_reads_more_than_an_embedding(data: ReportData) -> None:
    (merge,) = data.merges
    whole = merge.stack[1].model_copy(update={"first": 0, "last": 23})
    changed = merge.model_copy(update={"stack": (merge.stack[0], whole)})
    stream, *_ = seam_findings(probes_of(probes_facts()), [changed])
    assert f"layer 0 of b reads a residual stream {20 * 1.1**23 / 3:.2f} times as large" in stream.text


@pytest.mark.parametrize(
    ("cosine", "verdict"),
    [(0.97, "brought layer 24"), (0.991, "left layer 24"), (0.999, "took layer 24")],
)
def test_whether_healing_brought_the_layer_back(data: ReportData, cosine: float, verdict: str) -> None:
    _, closer, _ = sentences(data, probes_facts(healed_cosine=cosine))
    assert closer.text.startswith(f"Healing {verdict}, the first after the seam, ")
    assert f"0.9900 ± 0.0010 in the raw merge, {cosine:.4f} ± 0.0010 in the healed merge" in closer.numbers


@pytest.mark.parametrize(
    ("gain", "verdict"), [(0.0, "alike"), (0.2, "the second half of a chunk"), (-0.2, "the first half of a chunk")]
)
def test_where_in_a_text_healing_helps(data: ReportData, gain: float, verdict: str) -> None:
    facts = probes_facts(gain_late=gain)
    *_, lean = sentences(data, facts)
    assert verdict in lean.text
    before, after = (np.array([each["losses"] for each in facts[name]["positions"]]) for name in ("merged", "healed"))
    late = 100 * math.expm1((after - before)[8:].mean())
    assert f"({late:+.1f}".replace("-", "\N{MINUS SIGN}")[:5] in lean.numbers.rpartition("from")[2]
    assert "in tokens 256 to 511; on builtin:prose, in 16 bits." in lean.numbers


def test_without_a_heal_there_is_nothing_to_say_of_it(data: ReportData) -> None:
    facts = {name: each for name, each in probes_facts().items() if name not in ("healed", "control")}
    assert [finding.about for finding in sentences(data, facts)] == ["merge"]
    assert sentences(data, {"a": facts["a"]}) == []


def test_the_table_has_a_row_per_stretch_and_one_for_all(probed: ReportData) -> None:
    rows = position_rows(probed)
    assert [row["tokens"] for row in rows] == [
        "1 to 63", "64 to 127", "128 to 191", "192 to 255", "256 to 319", "320 to 383", "384 to 447", "448 to 511",
        "all",
    ]  # fmt: skip
    assert list(rows[0]) == ["tokens", *ROLES]
    assert float(rows[-1]["merged"].partition(" ")[0]) == pytest.approx(math.exp(3.6), rel=0.2)


def test_plots_name_models_and_take_the_pages_colours(probed: ReportData) -> None:
    seam, position = seam_plot(probed), position_plot(probed)
    assert seam is not None
    assert position is not None
    assert {"a", "b", "merged", "healed", "norm after the layer", "layer of the merge"} <= words(seam)
    assert "control" not in words(seam)
    assert {*ROLES, "position of the token in its chunk"} <= words(position)
    for svg in (seam, position):
        assert re.findall(r"#[0-9a-f]{6}\b", themed(svg)) == []
        assert set(re.findall(r"var\(--([a-z0-9-]+)\)", themed(svg))) <= set(PALETTE)
    assert seam_plot(probed) == seam


def test_seams_are_marked_where_the_merge_has_them(probed: ReportData) -> None:
    (merge,) = probed.merges
    assert merge.account is not None
    whole = merge.model_copy(update={"account": merge.account.model_copy(update={"seams": ()})})
    dotted = [
        svg.count("stroke-dasharray: 0.9")
        for svg in map(seam_plot, (probed, probed.model_copy(update={"merges": (whole,)})))
        if svg
    ]
    assert dotted == [2, 0]


def test_the_pages_have_a_section(probed: ReportData, data: ReportData) -> None:
    page, markdown = html_page(probed), markdown_page(probed)
    assert "<h2>Seam</h2>" in page
    assert "6 chunks of 512 tokens of builtin:prose" in page
    assert "## Perplexity by position" in markdown
    assert markdown.count("data:image/svg+xml") == 4
    assert "<h2>Seam</h2>" not in html_page(data)
    assert "by position" not in markdown_page(data)
    assert (seam_plot(data), position_plot(data), position_rows(data)) == (None, None, [])
