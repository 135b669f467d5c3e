"""The forms in which a config says something of each layer, to and from a list with one entry per layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from pydantic import JsonValue

Entries = Sequence[JsonValue]
"""What is said of each layer, from the first to the last."""


@dataclass(frozen=True)
class Form:
    """A way of writing one entry per layer.

    Attributes:
        read: The value of the field and the number of layers -> the entries; None if the value is not of this form or
            not for so many layers.
        write: The entries -> the value.
    """

    read: Callable[[JsonValue, int], Entries | None]
    write: Callable[[Entries], JsonValue]


def _read_list(value: JsonValue, count: int) -> Entries | None:
    return value if isinstance(value, list) and len(value) == count else None


def _read_text(value: JsonValue, count: int) -> Entries | None:
    return list(value) if isinstance(value, str) and len(value) == count else None


def _read_indices(first: int) -> Callable[[JsonValue, int], Entries | None]:
    def read(value: JsonValue, count: int) -> Entries | None:
        return [place in value for place in range(first, first + count)] if isinstance(value, list) else None

    return read


def _write_indices(first: int) -> Callable[[Entries], JsonValue]:
    return lambda entries: [place for place, listed in enumerate(entries, first) if listed]


def _read_index_text(value: JsonValue, count: int) -> Entries | None:
    if isinstance(value, str):
        value = [int(part) for part in value.split(",") if part.strip().isdigit()]
    return _read_indices(0)(value, count)


def _write_index_text(entries: Entries) -> JsonValue:
    return ",".join(str(place) for place, listed in enumerate(entries) if listed)


def _read_cycle(value: JsonValue, count: int) -> Entries | None:
    return [value[place % len(value)] for place in range(count)] if isinstance(value, list) and value else None


def _read_runs(value: JsonValue, count: int) -> Entries | None:
    entries: list[JsonValue] = []
    for run in value if isinstance(value, list) else []:
        match run:
            case [list(kinds), int(times)]:
                entries += kinds * times
            case _:
                return None
    return entries if len(entries) == count else None


def _read_numbered(value: JsonValue, count: int) -> Entries | None:
    if not isinstance(value, dict) or not all(key.isdigit() for key in value):
        return None
    by_number = {int(key): entry for key, entry in value.items()}
    return [by_number.get(place) for place in range(count)]


def _write_numbered(entries: Entries) -> JsonValue:
    given = {place: entry for place, entry in enumerate(entries) if entry is not None}
    width = len(str(max(given, default=0)))  # padded with zeros, as transformers writes them
    return {str(place).zfill(width): entry for place, entry in given.items()}


LIST = Form(_read_list, list)
"""`["full_attention", "linear_attention", ...]`"""

TEXT = Form(_read_text, lambda entries: "".join(cast("Sequence[str]", entries)))
"""`M-M*`: a character per layer (Nemotron-H)."""

INDICES = Form(_read_indices(0), _write_indices(0))
"""`[0, 3]`: the layers of a kind; an entry says whether the layer is listed."""

INDICES_FROM_ONE = Form(_read_indices(1), _write_indices(1))
"""`[1, 4]`: the same, counted from 1 (Kimi Linear)."""

INDEX_TEXT = Form(_read_index_text, _write_index_text)
"""`"3,4,5"`: the same, as a text (Step 3)."""

CYCLE = Form(_read_cycle, list)
"""`["recurrent", "recurrent", "attention"]`, over and over (RecurrentGemma)."""

RUNS = Form(_read_runs, lambda entries: [[list(entries), 1]])
"""`[[["global", "local"], 12]]`: kinds and how many times they follow each other (GPT-Neo)."""

NUMBERED = Form(_read_numbered, _write_numbered)
"""`{"05": {...}}`: by the layer's number; an entry is None for a layer that is not named (Gemma 4)."""
