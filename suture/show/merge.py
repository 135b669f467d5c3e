"""What became of each tensor of a merge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from suture.progress import human_bytes


def account_tables(account: Mapping[str, Any]) -> list[Table]:
    """Return the account that a merge gives: what it holds, what was dropped and why, what to know.

    Args:
        account: As `suture.merge.step.merge` returns it.
    """
    table = Table(title="Merged", title_justify="left", show_header=False)
    table.add_column("what", no_wrap=True)
    table.add_column("value", overflow="fold")
    rows = {
        "layers": account["layers"],
        "parameters": f"{account['parameters'] / 1e6:,.1f} M",
        "size": human_bytes(account["bytes"]),
        "tensors read": f"{account['tensors_in']:,}",
        "tensors written": f"{account['tensors_out']:,}",
        "of these": f"{account['copied']:,} copied, {account['merged']:,} computed",
        "seams before layers": ", ".join(map(str, account["seams"])),
        "no numbers": _no_numbers(account),
        "note": "\n".join(account["notes"]),
    }
    for name, value in rows.items():
        if value != "":
            table.add_row(name, escape(str(value)))
    return [table, *([_dropped_table(account)] if account["dropped"] else [])]


def _no_numbers(account: Mapping[str, Any]) -> str:
    """Return where NaN and infinities were found among the numbers that were computed with."""
    found = {f"in {name}": (count, account["inf_in"][name]) for name, count in account["nan_in"].items()}
    found["in the result"] = (account["nan_out"], account["inf_out"])
    return "\n".join(f"{nan} NaN and {inf} infinite {where}" for where, (nan, inf) in found.items() if nan or inf)


def _dropped_table(account: Mapping[str, Any]) -> Table:
    table = Table(title="Not in the result", title_justify="left")
    for column in ("source", "tensors", "why"):
        table.add_column(column, justify="right" if column == "tensors" else "left")
    counts = Counter((row["source"], row["reason"]) for row in account["dropped"])
    for (source, reason), count in counts.items():
        table.add_row(source, f"{count:,}", escape(reason))
    return table
