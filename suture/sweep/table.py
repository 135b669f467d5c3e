"""The points of a sweep as the rows of a table: on the terminal, on Prefect's pages, in HTML."""

from __future__ import annotations

from suture.report import numbers
from suture.sweep.compare import SweepData, SweepRow

NOTE = (
    "± is one standard error of a perplexity alone. Change: of the perplexity to the lowest one, with its 95 % "
    "interval, chunk by chunk where both read the same. p: of that change, corrected for all comparisons of this "
    "table (Holm). The lowest of several is partly luck: a row without a detectable difference to it may as well be "
    "the best."
)


def table_rows(data: SweepData) -> list[dict[str, str]]:
    """Return a row per point, or per quantization of one, by column."""
    return [_row(data, row) for row in data.rows]


def _row(data: SweepData, row: SweepRow) -> dict[str, str]:
    fields = dict(zip((axis.field for axis in data.axes), row.values, strict=True))
    change = numbers.MISSING
    if row.difference is not None:
        change = f"{numbers.change(row.difference)} ({numbers.change_interval(row.difference)})"
    return {
        "point": str(row.point),
        **fields,
        "compared with the best": row.verdict,
        "model": row.arm or numbers.MISSING,
        "perplexity": numbers.with_error(row.perplexity),
        "change": change,
        "p": numbers.MISSING if row.adjusted is None else numbers.probability(row.adjusted),
        "passed": numbers.MISSING if row.passed is None else f"{row.passed} of {row.total}",
        "95 %": numbers.interval(row.interval),
        "size": numbers.size(row.size_bytes),
        "run": row.run or numbers.MISSING,
    }
