"""The report as Markdown: what Prefect shows as an artifact, plots included."""

from __future__ import annotations

import re

import yaml

from suture.report import numbers, plots, probe_plots, tables, terms
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
        _links(data),
        fenced(data.error, "text") if data.error else "",
        _titled("Scoreboard", markdown_table(tables.scoreboard_rows(data))),
        _titled("Findings", _findings(data)),
        _image("Perplexity on held-out text, whiskers of one standard error", plots.perplexity_plot(data)),
        _image("Training loss", plots.loss_plot(data)),
        _image("Share that the repeated layers keep of what they add; 1 is all", plots.gates_plot(data)),
        _titled("Perplexity by text", markdown_table(tables.text_rows(data))),
        _image("Residual stream by layer; seams are dotted", probe_plots.seam_plot(data)),
        _image("Perplexity by position", probe_plots.position_plot(data)),
        _titled("Perplexity by position", markdown_table(tables.position_rows(data))),
        _titled("Merges against their parents", markdown_table(tables.standing_rows(data))),
        _image("Merges against their parents, 95 % intervals", plots.standings_plot(data)),
        _titled("Quantization loss", markdown_table(tables.loss_rows(data))),
        _titled("Bare speed", markdown_table(tables.speed_rows(data))),
        _titled("Tests passed", markdown_table(tables.category_rows(data))),
        _titled("Pairs of models", markdown_table(tables.rivalry_rows(data.rivalries))),
        _titled("Tests", markdown_table(tables.test_rows(data))),
        _titled("Merges" if len(data.merges) > 1 else "Merge", markdown_table(tables.merge_rows(data))),
        _titled("Trainings", markdown_table(tables.training_rows(data))),
        _titled("Steps", markdown_table(tables.step_rows(data))),
        _titled("Sources", markdown_table(tables.source_rows(data))),
        _titled("Licences", _licences(data)),
        _titled("Versions", markdown_table(tables.version_rows(data))),
        _titled("Recipe", fenced(yaml.safe_dump(data.recipe, sort_keys=False, allow_unicode=True), "yaml")),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, in a paragraph or in a table's cell."""
    line = " ".join(text.split())
    line = re.sub(r"([\\`*_{}\[\]<>|~&#$!])", r"\\\1", line)
    return re.sub(r"^(\d*)([-+=.)])(?=[\s=-]|$)", r"\1\\\2", line)  # a list, a rule or a heading's underline


def _links(data: ReportData) -> str:
    """Return where else the run is shown: on Prefect's page of it, and in the terminal."""
    page = f"Prefect flow run [{data.flow_run}]({data.flow_url}). " if data.flow_url else ""
    return f"{page}In a terminal: `suture show {data.run}`."


def _titled(title: str, content: str) -> str:
    return f"## {title}\n\n{content}" if content else ""


def _findings(data: ReportData) -> str:
    return "\n".join(_finding(finding) for finding in data.findings)


def _finding(finding: Finding) -> str:
    text = escape(finding.text)
    words = text if finding.tone == "note" else f"**{text}**"
    return f"- {_TONES[finding.tone]}: {words} {escape(finding.numbers)}".rstrip()


def _licences(data: ReportData) -> str:
    if data.licences is None:
        return ""
    blocks = (
        escape(terms.verdict_words(data.licences)),
        markdown_table(terms.licence_rows(data.licences)),
        terms.NOTE,
    )
    return "\n\n".join(filter(None, blocks))


def _image(title: str, svg: str | None) -> str:
    return f"![{title}]({plots.data_uri(svg)})" if svg else ""


def fenced(text: str, language: str) -> str:
    """Return a block of code, fenced by more backticks than it holds."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def markdown_table(rows: Table) -> str:
    """Return a table; nothing for one without rows."""
    if not rows:
        return ""
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *([escape(value) for value in row.values()] for row in rows)]
    lines[0] = [escape(head) for head in heads]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
