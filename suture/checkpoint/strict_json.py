"""JSON written by strangers: of limited size, and with no name given twice (the usual reader keeps the last)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from suture.errors import CheckpointError

MAX_BYTES = 32 * 2**20
"""A header with MAX_TENSORS long names fits; Python needs up to 60 times as much memory to hold hostile JSON."""


def read_json_object(path: Path) -> dict[str, JsonValue]:
    """Read a JSON file whose content is an object.

    Raises:
        CheckpointError: When it is missing, too large, not JSON, not an object, or names something twice.
    """
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= MAX_BYTES else b""
    except OSError as error:
        raise CheckpointError("A file of the checkpoint cannot be read.", where=path, found=error.strerror) from error
    check_json_size(size, path)
    return parse_json_object(content, path)


def check_json_size(size: int, where: str | Path) -> None:
    """Refuse JSON that is too large to be read with care.

    Raises:
        CheckpointError: With the limit and the size.
    """
    if size > MAX_BYTES:
        raise CheckpointError(
            "A JSON text is too large.", where=where, expected=f"at most {MAX_BYTES} bytes", found=f"{size} bytes"
        )


def parse_json_object(content: bytes, where: str | Path) -> dict[str, JsonValue]:
    """Parse a JSON object.

    Args:
        content: The text, in UTF-8.
        where: What errors call it.

    Raises:
        CheckpointError: When it is not JSON, not an object, or names something twice.
    """

    def distinct(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
        table = dict(pairs)
        if len(table) < len(pairs):
            names = [name for name, _ in pairs]
            doubled = next(name for name in table if names.count(name) > 1)
            raise CheckpointError(
                "A name is given twice.", where=where, expected="each name once", found=ascii(doubled)
            )
        return table

    try:
        value = json.loads(content.decode(), object_pairs_hook=distinct)
    except (ValueError, RecursionError) as error:
        raise CheckpointError("This is not JSON.", where=where, found=str(error)) from error
    if not isinstance(value, dict):
        raise CheckpointError("This is not a JSON object.", where=where, found=type(value).__name__)
    return cast("dict[str, JsonValue]", value)
