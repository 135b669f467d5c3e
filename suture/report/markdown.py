"""The report as Markdown: what Prefect shows as an artifact, plots included."""

from __future__ import annotations

import re

import yaml

from suture.report import numbers, plots, tables
from suture.report.data import Finding, ReportData
from suture.report.tables import Table

_TONES = {"gain": "Better", "loss": "Worse", "even": "No difference", "note": "Note"}


def markdown_page(data: ReportData) -> str:
    """Return the whole report; the plots are images that hold their data."""
    took = numbers.duration(data.seconds)
    blocks = [
        f"# {escape(data.name)}",
        escape(data.description),
        f"Run `{data.run}`: **{data.state}**, started {data.started:%Y-%m-%d %H:%M} UTC, took {took}.",
        _fenced(data.error, "text") if data.error else "",
        _titled("Scoreboard", _table(tables.scoreboard_rows(data))),
        _titled("Findings", _findings(data)),
        _image("Perplexity on held-out text, whiskers of one standard error", plots.perplexity_plot(data)),
        _image("Training loss", plots.loss_plot(data)),
        _image("Share that the repeated layers keep of what they add; 1 is all", plots.gates_plot(data)),
        _titled("Perplexity by text", _table(tables.text_rows(data))),
        _titled("Merges against their parents", _table(tables.standing_rows(data))),
        _image("Merges against their parents, 95 % intervals", plots.standings_plot(data)),
        _titled("Quantization loss", _table(tables.loss_rows(data))),
        _titled("Bare speed", _table(tables.speed_rows(data))),
        _titled("Tests passed", _table(tables.category_rows(data))),
        _titled("Pairs of models", _table(tables.rivalry_rows(data.rivalries))),
        _titled("Tests", _table(tables.test_rows(data))),
        _titled("Merges" if len(data.merges) > 1 else "Merge", _table(tables.merge_rows(data))),
        _titled("Trainings", _table(tables.training_rows(data))),
        _titled("Steps", _table(tables.step_rows(data))),
        _titled("Sources", _table(tables.source_rows(data))),
        _titled("Versions", _table(tables.version_rows(data))),
        _titled("Recipe", _fenced(yaml.safe_dump(data.recipe, sort_keys=False, allow_unicode=True), "yaml")),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, in a paragraph or in a table's cell."""
    line = " ".join(text.split())
    line = re.sub(r"([\\`*_{}\[\]<>|~&#$!])", r"\\\1", line)
    return re.sub(r"^(\d*)([-+=.)])(?=[\s=-]|$)", r"\1\\\2", line)  # a list, a rule or a heading's underline


def _titled(title: str, content: str) -> str:
    return f"## {title}\n\n{content}" if content else ""


def _findings(data: ReportData) -> str:
    return "\n".join(_finding(finding) for finding in data.findings)


def _finding(finding: Finding) -> str:
    text = escape(finding.text)
    words = text if finding.tone == "note" else f"**{text}**"
    return f"- {_TONES[finding.tone]}: {words} {escape(finding.numbers)}".rstrip()


def _image(title: str, svg: str | None) -> str:
    return f"![{title}]({plots.data_uri(svg)})" if svg else ""


def _fenced(text: str, language: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _table(rows: Table) -> str:
    if not rows:
        return ""
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *([escape(value) for value in row.values()] for row in rows)]
    lines[0] = [escape(head) for head in heads]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
