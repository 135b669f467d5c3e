"""mergekit's parameters: numbers, gradients over the depth, values by tensor name; and which of several counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from suture.recipe.mergekit.node import Node, Number

Setting = Number | list[Number] | list[dict[str, Any]]
"""As a Suture recipe has it: a number, a gradient, or `[{filter: ..., value: ...}, ...]`."""

Levels = Sequence[Mapping[str, Node]]
"""The `parameters` that may hold a setting, the one that counts most first: source, slice, model, file."""

REST = "*"
"""The filter of the value for all tensors that no entry before it fits."""


def find(levels: Levels, name: str) -> Node | None:
    """Return where a setting is given on the level that counts most, or None."""
    return next((level[name] for level in levels if name in level), None)


def setting(levels: Levels, name: str) -> Setting | None:
    """Return a setting's value, or None where no level gives it.

    For each tensor the first level counts that has a value for it; so filters of several levels become one list, up
    to the first value that is for all tensors.
    """
    entries: list[dict[str, Any]] = []
    for level in levels:
        if name in level:
            for entry in _entries(level[name]):
                entries.append(entry)
                if entry["filter"] == REST:
                    return entries[0]["value"] if len(entries) == 1 else entries
    return entries or None


def flag(levels: Levels, name: str) -> bool | None:
    """Return a yes or no, or None where no level gives it.

    Raises:
        RecipeError: When it is anything else, such as a gradient.
    """
    found = find(levels, name)
    return None if found is None else found.flag()


def value_outside(value: Setting, tensor: str) -> Number | None:
    """Return what a setting says of a tensor in no layer, or None where it says nothing.

    mergekit takes the first number of a gradient there, for the final norm and the head too.
    """
    entries = value if isinstance(value, list) else [value]
    for entry in entries:
        if not isinstance(entry, dict):
            return entry
        if entry["filter"] == REST or entry["filter"] in tensor:
            return value_outside(entry["value"], tensor)
    return None


def has_rest(value: Setting) -> bool:
    """Return whether a setting has a value for every tensor."""
    return not isinstance(value, list) or any(
        not isinstance(entry, dict) or entry["filter"] == REST for entry in value
    )


def _entries(node: Node) -> list[dict[str, Any]]:
    """Return a parameter as a list of values with filters."""
    if isinstance(node.value, dict):
        return [_entry(node)]
    if isinstance(node.value, list) and any(isinstance(item.value, dict) for item in node.items()):
        return [_entry(item) for item in node.items()]
    return [{"filter": REST, "value": _value(node)}]


def _entry(node: Node) -> dict[str, Any]:
    fields = node.fields(("filter", "value"))
    if "value" not in fields:
        raise node.refusal("A filter has no value.", expected="filter: part of a tensor's name, value: a number")
    return {"filter": fields["filter"].text() if "filter" in fields else REST, "value": _value(fields["value"])}


def _value(node: Node) -> Number | list[Number]:
    """Return a number, or a gradient; one of a single number is that number."""
    if isinstance(node.value, list):
        values = [item.number() for item in node.items()]
        return values if len(values) > 1 else values[0]
    if not node.is_number():
        raise node.refusal("A parameter is none.", expected="a number, a list of numbers, or values with filters")
    return node.number()
