from __future__ import annotations

from datetime import date

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from suture.recipe.strict_yaml import MAX_BYTES, parse_documents


def levels(count: int, joint: str) -> bytes:
    """Each level holds the one below ten times."""
    lines = [f"l{i}: &l{i} {joint % ', '.join([f'*l{i - 1}'] * 10)}" for i in range(1, count)]
    return "\n".join(["l0: &l0 {x: 1}", *lines]).encode()


def test_documents_are_what_yaml_says() -> None:
    assert parse_documents(b"a: [1, 2.5, yes, ~]\n---\n- b\n") == [{"a": [1, 2.5, True, None]}, ["b"]]
    assert parse_documents(b"") == []
    assert parse_documents(b"# nothing") == []
    assert parse_documents(b"when: 2026-04-01") == [{"when": date(2026, 4, 1)}]


def test_aliases_and_merged_mappings_work() -> None:
    text = b"base: &base {a: 1, b: 2}\nlist: &list [x]\nuse: {<<: *base, b: 3}\ntwice: [*list, *list]\n"
    (found,) = parse_documents(text)
    assert found == yaml.safe_load(text)
    assert isinstance(found, dict)
    assert found["use"] == {"a": 1, "b": 3}
    (found,) = parse_documents(levels(4, "[%s]"))
    assert isinstance(found, dict)
    assert len(found["l3"]) == 10


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (levels(30, "[%s]"), "each alias counted"),
        (levels(30, "{a: [%s]}"), "each alias counted"),
        (levels(30, "{<<: [%s]}"), "each alias counted"),
        (b"a: &a [*a]", "each alias counted"),
        (b"a: &a {b: *a}", "each alias counted"),
        (b"[" * 10_000, "too deeply"),
        (b"a: 1\nb: 2\na: 3", "a: given more than once"),
        (b"x: {a: 1, a: 1}", "a: given more than once"),
        (b"a: " + b"x" * MAX_BYTES, "more than"),
        (b"a: \xff", "utf-8"),
        (b"a: 2026-13-45", "month"),
        (b"a: " + b"1" * 5000, "digits"),
        (b"? [a]\n: 1", "unhashable"),
        (b"a: !!python/name:os.system", "could not determine a constructor"),
        (b"a: \x07", "special characters"),
    ],
)
def test_what_is_refused(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        parse_documents(content)
    assert len(str(caught.value)) < 500


@given(st.text(alphabet="ab01:-?![]{}&*<,#|>%@`'\" \n\t~.", max_size=60))
def test_any_text_is_what_yaml_says_or_a_value_error(text: str) -> None:
    try:
        found = parse_documents(text.encode())
    except ValueError:
        return
    assert repr(found) == repr(list(yaml.safe_load_all(text)))


@given(st.binary(max_size=60))
def test_any_bytes_raise_nothing_but_a_value_error(content: bytes) -> None:
    try:
        parse_documents(content)
    except ValueError as error:
        assert str(error)  # noqa: PT017 -- most bytes are refused, and none must be
