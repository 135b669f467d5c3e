"""What `suture doctor` found, as a table; the commands stand below it, each on a line of its own, to be pasted."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue
from rich import box
from rich.table import Table
from rich.text import Text

from suture.doctor import Finding
from suture.doctor.form import State

_STYLES: Mapping[State, str] = {"ok": "green", "warning": "yellow", "broken": "bold red"}


def findings_table(findings: Mapping[str, Finding]) -> Table:
    """Return one row per check."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("check", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("found", overflow="fold")
    for name, finding in findings.items():
        table.add_row(name, Text(finding.state, style=_STYLES[finding.state]), Text(finding.found))
    return table


def mends(findings: Mapping[str, Finding]) -> list[str]:
    """Return what to do, one command a line under the check that it is for."""
    lines: list[str] = []
    for name, finding in findings.items():
        if finding.mend:
            lines += [f"# {name}", finding.mend]
    return lines


def findings_data(findings: Mapping[str, Finding]) -> dict[str, JsonValue]:
    """Return the same as data."""
    rows: list[JsonValue] = [{"check": name, **finding.model_dump()} for name, finding in findings.items()]
    return {"healthy": all(finding.state != "broken" for finding in findings.values()), "checks": rows}
