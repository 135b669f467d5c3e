from __future__ import annotations

import hashlib
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from suture.store import artifact_key, canonical_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=5), children, max_size=4),
    max_leaves=12,
)
SPEC: dict[str, JsonValue] = {"b": [1, 2.5], "a": {"é": None}}


def test_the_bytes_of_a_key_are_fixed() -> None:
    """A change here makes every store in the world rebuild everything."""
    assert canonical_json(SPEC) == '{"a":{"é":null},"b":[1,2.5]}'
    text = '{"parents":["p"],"spec":{"a":{"é":null},"b":[1,2.5]},"step":"merge","tool":"t","version":1}'
    assert artifact_key("merge", 1, SPEC, ["p"], "t") == hashlib.sha256(text.encode()).hexdigest()


@given(JSON)
def test_canonical_json_reads_back(value: JsonValue) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=5), st.randoms())
def test_the_order_of_names_does_not_matter(value: dict[str, JsonValue], order: random.Random) -> None:
    items = list(value.items())
    order.shuffle(items)
    assert canonical_json(dict(items)) == canonical_json(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_what_json_cannot_hold_has_no_key(value: JsonValue) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(value)


def test_everything_that_decides_bytes_is_in_the_key() -> None:
    keys = {
        artifact_key("merge", 1, SPEC, ["p", "q"], "t"),
        artifact_key("fuse", 1, SPEC, ["p", "q"], "t"),
        artifact_key("merge", 2, SPEC, ["p", "q"], "t"),
        artifact_key("merge", 1, {**SPEC, "b": [1, 2]}, ["p", "q"], "t"),
        artifact_key("merge", 1, SPEC, ["q", "p"], "t"),
        artifact_key("merge", 1, SPEC, ["p"], "t"),
        artifact_key("merge", 1, SPEC, ["p", "q"], ""),
    }
    assert len(keys) == 7
    assert all(len(key) == 64 for key in keys)
