"""What else tells two checkpoints apart than their weights: config fields, and the files beside the weights."""

from __future__ import annotations

import filecmp
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from pydantic import JsonValue

from suture.checkpoint.companions import is_companion
from suture.checkpoint.reader import Checkpoint

_NEVER_COMPARED = frozenset({"_name_or_path", "transformers_version", "use_cache"})
"""Config fields that say who wrote the file, or how it is used."""


@dataclass(frozen=True)
class FieldDifference:
    """A config field of which two checkpoints say different things.

    Attributes:
        field: Its name; within a section as `text_config.rope_theta`.
        first: What the first says, None if nothing.
        second: What the second says.
    """

    field: str
    first: JsonValue
    second: JsonValue


@dataclass(frozen=True)
class FileDifference:
    """A file beside the weights, such as the tokenizer's, that two checkpoints do not have alike."""

    file: str
    state: Literal["differs", "only in the first", "only in the second"]


def compare_configs(first: Checkpoint, second: Checkpoint) -> tuple[FieldDifference, ...]:
    """Return the config fields that differ, sorted."""
    one, other = (dict(_flatten(each.layout.config)) for each in (first, second))
    fields = sorted(one.keys() | other.keys())
    differing = [field for field in fields if one.get(field) != other.get(field)]
    return tuple(FieldDifference(field, one.get(field), other.get(field)) for field in differing)


def compare_files(first: Checkpoint, second: Checkpoint) -> tuple[FileDifference, ...]:
    """Return the files beside the weights that are not the same, byte for byte."""
    files = sorted(set(filter(is_companion, (*first.layout.files, *second.layout.files))))
    found: list[FileDifference] = []
    for file in files:
        if file not in second.layout.files:
            found.append(FileDifference(file, "only in the first"))
        elif file not in first.layout.files:
            found.append(FileDifference(file, "only in the second"))
        elif not filecmp.cmp(first.folder / file, second.folder / file, shallow=False):
            found.append(FileDifference(file, "differs"))
    return tuple(found)


def _flatten(config: Mapping[str, JsonValue], prefix: str = "") -> Iterator[tuple[str, JsonValue]]:
    for field, value in config.items():
        if isinstance(value, dict):
            yield from _flatten(cast("dict[str, JsonValue]", value), f"{prefix}{field}.")
        elif field not in _NEVER_COMPARED and value is not None:
            yield prefix + field, value
