"""The scoreboard in the terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from suture.report.data import ArmData, ReportData
from suture.report.numbers import MISSING
from suture.report.tables import SCOREBOARD

_STYLES = {"merged": "red", "healed": "bold green", "control": "magenta", "reference": "dim"}
_COLUMNS = ("model", "quant", "perplexity", "tests passed", "tokens/s", "size")
"""What 80 characters have room for, beside the role as the colour."""
_NUMBERS = frozenset({"perplexity", "tests passed", "tokens/s", "size"})


def scoreboard(data: ReportData) -> Table:
    """Return the scoreboard: one row per arm, the healed merge in bold."""
    table = Table(title=f"{data.name}: {data.state}", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in _COLUMNS:
        table.add_column(column, justify="right" if column in _NUMBERS else "left", no_wrap=True)
    for arm in data.arms:
        table.add_row(*(_cell(column, arm) for column in _COLUMNS), style=_STYLES.get(arm.role))
    table.caption = "± is one standard error."
    table.caption_justify = "left"
    return table


def _cell(column: str, arm: ArmData) -> Text:
    text = SCOREBOARD[column](arm)
    return Text("missing", style="yellow") if text == MISSING else Text(text)
