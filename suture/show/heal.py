"""What a heal trains on and what it takes, for the terminal and as data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import JsonValue
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from suture.direct_heal import Preview
from suture.errors import printable
from suture.heal.dry_run import Estimate
from suture.progress import human_bytes, human_seconds
from suture.show.numbers import human_count

if TYPE_CHECKING:
    from rich.console import RenderableType

_COLUMNS = ("data", "rows", "tokens", "learned", "epochs", "too long", "no assistant", "held out")


def preview_text(preview: Preview) -> Iterator[RenderableType]:
    """Yield a table of the parts of the blend, then each row: what is learned bright, what is only read dim."""
    table = Table()
    for heading in _COLUMNS:
        is_name = heading == "data"
        table.add_column(heading, justify="left" if is_name else "right", no_wrap=is_name)
    for part in preview.parts:
        counts = (part.sequences, part.tokens, part.learned_tokens, part.epochs)
        left_out = (part.too_long, part.silent, part.held_out)
        table.add_row(escape(printable(part.name)), *(f"{count:,}" for count in (*counts, *left_out)))
    yield table
    for number, row in enumerate(preview.rows, start=1):
        learned = sum(piece.tokens for piece in row if piece.learned)
        yield Text(f"\nrow {number}: {sum(piece.tokens for piece in row)} tokens, {learned} learned", style="bold")
        yield Text.assemble(*((printable(piece.text), "" if piece.learned else "dim") for piece in row))


def preview_json(preview: Preview) -> dict[str, JsonValue]:
    """Return the same as data."""
    return {
        "blend": [part.model_dump(mode="json") for part in preview.parts],
        "rows": [
            [{"text": piece.text, "tokens": piece.tokens, "learned": piece.learned} for piece in row]
            for row in preview.rows
        ],
    }


def estimate_table(estimate: Estimate) -> Table:
    """Return what a training will take, as two of its steps have shown."""
    table = Table(title="Dry run: two steps on the longest samples", title_justify="left", show_header=False)
    rows = {
        "device": estimate.device,
        "optimizer": estimate.optimizer,
        "trained parameters": human_count(estimate.trainable_parameters),
        "longest sample": f"{estimate.longest_row:,} tokens",
        "second step": f"{human_seconds(estimate.seconds_per_step)}, {estimate.tokens_per_second:,.0f} tokens/s",
        f"all {estimate.steps:,} steps": human_seconds(3600 * estimate.hours),
        "memory": f"{human_bytes(estimate.memory_bytes)} of {human_bytes(estimate.device_memory_bytes)}",
        "disk while training": f"{human_bytes(estimate.disk_bytes)} of {human_bytes(estimate.free_disk_bytes)} free",
    }
    for name, value in rows.items():
        table.add_row(name, escape(printable(value)))
    return table
