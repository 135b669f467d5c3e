"""`suture compare`: two runs side by side."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue
from rich import box
from rich.table import Table

from suture.report import numbers
from suture.report.data import ArmData
from suture.versus import Side, Versus


def versus_table(first: Side, second: Side, rows: Sequence[Versus]) -> Table:
    """Return one row per model that both runs have."""
    table = Table(
        title=f"A: {first.name}\nB: {second.name}", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for column in ("model", "perplexity A", "B", "change", "tests A", "B", "p", "B has"):
        table.add_column(column, justify="left" if column in ("model", "B has") else "right")
    for row in rows:
        change = numbers.MISSING
        if row.perplexity is not None:
            change = f"{numbers.change(row.perplexity)} ({numbers.change_interval(row.perplexity)})"
        table.add_row(
            row.first.name,
            numbers.with_error(row.first.perplexity),
            numbers.with_error(row.second.perplexity),
            change,
            numbers.passed(row.first),
            numbers.passed(row.second),
            numbers.probability(row.tests.adjusted) if row.tests else numbers.MISSING,
            row.verdict,
        )
    table.caption = (
        "± is one standard error; in brackets: 95 % interval of the change, chunk by chunk where both read the same. "
        f"p: exact McNemar's over the same tests, corrected for {sum(row.tests is not None for row in rows)} "
        "comparisons (Holm)."
    )
    table.caption_justify = "left"
    return table


def versus_data(first: Side, second: Side, rows: Sequence[Versus]) -> dict[str, JsonValue]:
    """Return the same as data."""
    return {
        "first": first.name,
        "second": second.name,
        "models": [
            {
                "name": row.first.name,
                "first": _arm(row.first),
                "second": _arm(row.second),
                "perplexity": row.perplexity.model_dump(mode="json") if row.perplexity else None,
                "tests": row.tests.model_dump(mode="json") if row.tests else None,
                "verdict": row.verdict,
            }
            for row in rows
        ],
    }


def _arm(arm: ArmData) -> dict[str, JsonValue]:
    perplexity = arm.perplexity.model_dump(mode="json") if arm.perplexity else None
    return {"perplexity": perplexity, "passed": arm.passed, "total": arm.total}
