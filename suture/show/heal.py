"""What a heal trains on, for the terminal and as data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import JsonValue
from rich.table import Table
from rich.text import Text

from suture.direct_heal import Preview
from suture.errors import printable

if TYPE_CHECKING:
    from rich.console import RenderableType

_COLUMNS = ("data", "rows", "tokens", "learned", "epochs", "too long", "no assistant")


def preview_text(preview: Preview) -> Iterator[RenderableType]:
    """Yield a table of the parts of the blend, then each row: what is learned bright, what is only read dim."""
    table = Table()
    for heading in _COLUMNS:
        table.add_column(heading, justify="left" if heading == "data" else "right")
    for part in preview.parts:
        counts = (part.sequences, part.tokens, part.learned_tokens, part.epochs, part.too_long, part.silent)
        table.add_row(printable(part.name), *(f"{count:,}" for count in counts))
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
