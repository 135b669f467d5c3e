"""What the look at a model before it is trusted found, in a terminal and as data."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue
from rich.markup import escape
from rich.table import Table

from suture.errors import printable
from suture.hub.audit import Audit, Severity
from suture.progress import human_bytes
from suture.show.numbers import human_count

_COLOURS: Mapping[Severity, str] = {"refused": "bold red", "warning": "yellow", "note": "cyan"}


def audit_tables(audit: Audit) -> list[Table]:
    """Return every finding, and a line on the whole."""
    table = Table(title=escape(printable(f"{audit.folder}: {_verdict(audit)}")), title_justify="left")
    for column in ("", "file", "what is so", "expected", "found", "way out"):
        table.add_column(column, overflow="fold")
    for finding in audit.findings:
        texts = (finding.file, finding.problem, finding.expected, finding.found, finding.way_out)
        colour = _COLOURS[finding.severity]
        table.add_row(f"[{colour}]{finding.severity}[/]", *(escape(printable(text)) for text in texts))
    if not audit.findings:
        table.add_row("", "", "Nothing was found.", "", "", "")
    if audit.checkpoint is not None and audit.nonfinite is not None:
        layout = audit.checkpoint.layout
        table.caption = (
            f"{len(layout.tensors):,} tensors, {human_count(layout.parameters)} parameters, "
            f"{human_bytes(layout.size)}; {_nan(audit):,} NaN, {_inf(audit):,} infinite"
        )
    else:
        table.caption = "The tokenizer, the templates or the weights were not tried, as the model is refused already."
    return [table]


def audit_data(audit: Audit) -> dict[str, JsonValue]:
    """Return the same as data."""
    layout = None if audit.checkpoint is None else audit.checkpoint.layout
    return {
        "folder": printable(str(audit.folder)),
        "verdict": _verdict(audit),
        "findings": [
            {
                "severity": finding.severity,
                "file": printable(finding.file),
                "problem": printable(finding.problem),
                "expected": printable(finding.expected),
                "found": printable(finding.found),
                "way_out": printable(finding.way_out),
            }
            for finding in audit.findings
        ],
        "tensors": None if layout is None else len(layout.tensors),
        "parameters": None if layout is None else layout.parameters,
        "size_bytes": None if layout is None else layout.size,
        "nan": None if audit.nonfinite is None else _nan(audit),
        "inf": None if audit.nonfinite is None else _inf(audit),
    }


def _verdict(audit: Audit) -> str:
    return "refused" if audit.is_refused else "accepted"


def _nan(audit: Audit) -> int:
    return sum(found.nan for found in (audit.nonfinite or {}).values())


def _inf(audit: Audit) -> int:
    return sum(found.inf for found in (audit.nonfinite or {}).values())
