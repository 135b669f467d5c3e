"""JSON written by strangers: of limited size, and with no name given twice (the usual reader keeps the last).

Not refused are NaN and Infinity, which JSON does not have and Python writes: `time_step_limit` of Mamba models.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from suture.errors import CheckpointError

MAX_BYTES = 64 * 2**20
"""A header with MAX_TENSORS long names fits, and a tokenizer.json of 262,144 tokens, which has 33 MB."""
MAX_VALUES = 4_000_000
"""The same tokenizer has 2 million. Python takes up to 200 bytes for each, and a second for 4 million."""


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
        CheckpointError: When it is not JSON, not an object, of too many values, or names something twice.
    """
    _check_values(content, where)

    def distinct(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
        table = dict(pairs)
        if len(table) < len(pairs):
            ((doubled, _),) = Counter(name for name, _ in pairs).most_common(1)
            raise CheckpointError(
                "A name is given twice.", where=where, expected="each name once", found=ascii(doubled)[:200]
            )
        return table

    try:
        value = json.loads(content.decode(), object_pairs_hook=distinct, parse_int=_parse_int)
    except (ValueError, RecursionError) as error:
        raise CheckpointError("This is not JSON.", where=where, found=str(error)) from error
    if not isinstance(value, dict):
        raise CheckpointError("This is not a JSON object.", where=where, found=type(value).__name__)
    return cast("dict[str, JsonValue]", value)


def _parse_int(text: str) -> int | float:
    """Take -0 for a fraction, as the safetensors library does, so that it is no size."""
    return -0.0 if text == "-0" else int(text)


def _check_values(content: bytes, where: str | Path) -> None:
    """Refuse a text that would fill the memory: before every value but the first stands one of three characters."""
    values = sum(content.count(character) for character in (b",", b"[", b"{"))
    if values > MAX_VALUES:
        raise CheckpointError(
            "A JSON text holds too many values.",
            where=where,
            expected=f"at most {MAX_VALUES}",
            found=f"about {values}",
        )
