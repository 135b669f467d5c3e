from __future__ import annotations

import pytest
from pydantic import JsonValue

from suture.bench.suite.jsontext import json_in, objects_in, same


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('Before:\n```json\n{"a": 0}\n```\nafter:\n```json\n{"a": 1}\n```\nDone.', {"a": 1}),
        ('Here it is: {"a": [1, 2]} as you wished.', {"a": [1, 2]}),
        ("Here it is: [1, 2].", [1, 2]),
        ('```json\n[{"a": 1}]', [{"a": 1}]),  # the fence is left open
        ('{"a": 1', None),
        ("{'a': 1}", None),
        ("1", None),
        ("no JSON", None),
        ("", None),
        ("[" * 100_000, None),
    ],
)
def test_json_in(text: str, value: JsonValue) -> None:
    assert json_in(text) == value


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('[{"a": 1}, {"a": {"b": 2}}]', [{"a": 1}, {"a": {"b": 2}}]),
        ('[{"a": 1},\n{"a": 2},\n{"a": ', [{"a": 1}, {"a": 2}]),  # cut off
        ('{"a": 1} ... {broken} {"a": 3}', [{"a": 1}, {"a": 3}]),
        ("none", []),
    ],
)
def test_objects_in(text: str, found: list[JsonValue]) -> None:
    assert objects_in(text) == found


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (3, 3.0, True),
        (1, True, False),
        (0, False, False),
        ("3", 3, False),
        ({"a": 1, "b": [2]}, {"b": [2.0], "a": 1}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        (None, None, True),
        ({}, [], False),
    ],
)
def test_same(one: JsonValue, other: JsonValue, is_same: bool) -> None:
    assert same(one, other) is is_same
    assert same(other, one) is is_same
