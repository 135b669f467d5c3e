"""The rows of a file: of .jsonl (one object per line), .json (a list of them, or lines) and .parquet.

They are read one after the other: a data set may be larger than the memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, cast

from pydantic import JsonValue

from suture.conversations import EXPECTED
from suture.corpus.parquet import read_parquet
from suture.errors import DataError


class Row(NamedTuple):
    """One row, and what errors call it."""

    where: str
    fields: dict[str, JsonValue]


def read_rows(path: Path, name: str) -> Iterator[Row]:
    """Yield the rows of a file.

    Args:
        path: The file; its suffix is one of `READERS`.
        name: What errors call it.

    Raises:
        DataError: With the line or row that is malformed.
    """
    try:
        yield from READERS[path.suffix](path, name)
    except OSError as error:
        raise DataError(
            "The text cannot be read.", where=name, expected="a readable file", found=error.strerror
        ) from error


def _read_lines(path: Path, name: str) -> Iterator[Row]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            text = decode(line, name, number).strip()
            if text:
                yield _row(_parse(text, f"{name}, line {number}"), f"{name}, line {number}")


def _read_json(path: Path, name: str) -> Iterator[Row]:
    with path.open("rb") as file:
        start = file.read(256).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start.startswith(b"["):
        yield from _read_lines(path, name)
        return
    for number, value in enumerate(cast("list[JsonValue]", _parse(decode(path.read_bytes(), name), name)), start=1):
        yield _row(value, f"{name}, row {number}")


def _read_parquet(path: Path, name: str) -> Iterator[Row]:
    for number, row in enumerate(read_parquet(path, name), start=1):
        yield Row(f"{name}, row {number}", row)


READERS: dict[str, Callable[[Path, str], Iterator[Row]]] = {
    ".jsonl": _read_lines,
    ".json": _read_json,
    ".parquet": _read_parquet,
}
"""Suffix -> how such a file is read."""


def decode(content: bytes, name: str, line: int = 1) -> str:
    """Return a text that must be UTF-8, with a mark at its start or without.

    Args:
        content: The text.
        name: What errors call its file.
        line: The line of the file that it begins at.

    Raises:
        DataError: With the line that is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line += content.count(b"\n", 0, error.start)
        raise DataError(
            "The text is not UTF-8.",
            where=f"{name}, line {line}",
            expected="UTF-8",
            found=f"byte 0x{content[error.start]:02x}: {error.reason}",
            way_out="Convert the file, for instance with iconv.",
        ) from error


def _parse(text: str, where: str) -> JsonValue:
    try:
        value = json.loads(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise DataError(
            "A character is only half there.",
            where=where,
            expected="two halves of a surrogate pair, such as \\ud83d\\ude00",
            found=ascii(str(error.object)[error.start : error.end]),
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError("This is not JSON.", where=where, expected="one JSON object", found=str(error)) from error
    return value


def _row(value: JsonValue, where: str) -> Row:
    if not isinstance(value, dict):
        raise DataError("The row is no JSON object.", where=where, expected=EXPECTED, found=str(value)[:200])
    return Row(where, value)
