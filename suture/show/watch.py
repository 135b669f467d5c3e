"""What a look at a recipe's sources found, in a terminal."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from suture.hub.watch import Look
from suture.show.store import KEY_DIGITS

_COLOURS = {"unchanged": "dim", "cosmetic": "dim", "new": "cyan", "material": "bold green"}


def look_table(look: Look) -> Table:
    """Return one row per source: where it was, where it is, and what that means."""
    table = Table(title=f"{look.recipe}: {look.verdict}", title_justify="left")
    for column in ("source", "repository", "seen", "now", "verdict", "why"):
        table.add_column(column, overflow="fold")
    for source in look.sources:
        table.add_row(
            escape(source.name),
            escape(f"{source.repo} {source.revision[:KEY_DIGITS]}"),
            source.seen[:KEY_DIGITS],
            source.commit[:KEY_DIGITS],
            f"[{_COLOURS.get(source.verdict, 'red')}]{source.verdict}",
            escape(source.why),
        )
    table.caption = escape(look.why)
    table.caption_justify = "left"
    return table
