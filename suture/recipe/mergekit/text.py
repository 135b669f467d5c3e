"""A recipe as YAML that reads well: short lists and mappings on one line, the others as blocks."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, cast

import yaml

_WIDTH = 110
"""Longest line, in characters."""


class _Dumper(yaml.SafeDumper):
    """Writes blocks with their lists indented, and knows no anchors."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002, ARG002
        super().increase_indent(flow, False)  # noqa: FBT003

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:  # noqa: ANN401, ARG002, FBT001
        return super().represent_sequence(tag, sequence, flow_style=_fits(sequence))

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:  # noqa: ANN401, ARG002, FBT001
        return super().represent_mapping(tag, mapping, flow_style=_fits(mapping))

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return yaml.ScalarNode("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Dumper.add_representer(str, _Dumper.represent_str)


def to_yaml(recipe: Mapping[str, Any], notes: Sequence[str] = ()) -> str:
    """Return a recipe as YAML, with the notes as comments above it."""
    comments = [line for note in notes for line in textwrap.wrap(f"- {note}", _WIDTH, subsequent_indent="  ")]
    content = yaml.dump(dict(recipe), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return "".join(f"# {line}\n" for line in comments) + content


def _fits(value: object) -> bool:
    """Return whether a list or mapping is written on one line: it is short, and holds no list of mappings."""
    return not _lists_mappings(value) and len(json.dumps(value)) <= _WIDTH - 20


def _lists_mappings(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_lists_mappings(item) for item in cast("Mapping[str, object]", value).values())
    if isinstance(value, list):
        items = cast("list[object]", value)
        return any(isinstance(item, Mapping) or _lists_mappings(item) for item in items)
    return False
