"""JSON as models write it: in a code block, alone, or within prose."""

from __future__ import annotations

import json

from pydantic import JsonValue

from suture.bench.suite.reading import code_blocks


def json_in(text: str) -> JsonValue:
    """Return the JSON of an answer: of its last code block that is JSON, else of the text itself; None without."""
    whole, start = text.strip(), min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=0)
    end = max(text.rfind("}"), text.rfind("]")) + 1
    for candidate in (*reversed(code_blocks(text)), whole, text[start:end]):
        value = decoded(candidate)
        if isinstance(value, dict | list):
            return value
    return None


def decoded(text: str) -> JsonValue:
    """Return the decoded text; None where it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def objects_in(text: str) -> list[dict[str, JsonValue]]:
    """Return the objects that stand in a text, in order, whatever is between them or missing at the end."""
    decoder, at = json.JSONDecoder(), text.find("{")
    found: list[dict[str, JsonValue]] = []
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            found.append(value)
        at = text.find("{", end)
    return found


def same(one: JsonValue, other: JsonValue) -> bool:
    """Whether two JSON values mean the same: 3 and 3.0 do, 1 and true do not; the order of keys is none."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other and isinstance(one, bool) == isinstance(other, bool)
