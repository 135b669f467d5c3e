from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from suture.recipe import Blend, ChatTemplate, Passthrough, TokenRow, Vocabulary
from suture.recipe.jinja import find_mistake
from suture.store import canonical_json


def blend(**fields: Any) -> Blend:
    return Blend.model_validate({"method": "linear", "base": "a", "models": [{"source": "a"}], **fields})


@pytest.mark.parametrize(
    ("vocabulary", "written"),
    [
        ({}, '{"pad_to_multiple_of":null,"source":null,"union":false}'),
        ({"union": True, "tokens": []}, '{"pad_to_multiple_of":null,"source":null,"union":true}'),
    ],
)
def test_a_vocabulary_without_chosen_rows_is_written_as_it_ever_was(vocabulary: dict[str, Any], written: str) -> None:
    """It is part of keys: another text would make every such merge anew."""
    assert canonical_json(Vocabulary.model_validate(vocabulary).model_dump(mode="json")) == written


@pytest.mark.parametrize("template", [None, "b"])
def test_a_template_of_a_source_is_written_as_it_ever_was(template: str | None) -> None:
    assert blend(chat_template=template).model_dump(mode="json")["chat_template"] == template


def test_what_is_written_is_read_again() -> None:
    tokens = [{"token": "<x>", "source": "b", "row": 3, "force": True}, {"token": "<y>", "zero": True}]
    merge = blend(vocabulary={"tokens": tokens}, chat_template={"format": "chatml"})
    assert Blend.model_validate(merge.model_dump(mode="json")) == merge


def test_sources_of_rows_and_template_are_in_use() -> None:
    tokens = [{"token": "<x>", "source": "c"}, {"token": "<y>", "zero": True}, {"token": "<z>", "source": "a"}]
    assert blend(vocabulary={"source": "b", "tokens": tokens}, chat_template="d").sources == ("a", "b", "c", "d")
    slices = [{"source": "b", "layers": [0, 1]}]
    stack = {"method": "passthrough", "base": "a", "slices": slices, "vocabulary": {"tokens": tokens}}
    assert Passthrough.model_validate(stack | {"chat_template": {"format": "auto"}}).sources == ("a", "b", "c")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({}, "either source or zero, found neither"),
        ({"source": "a", "zero": True}, "either source or zero, found both"),
        ({"source": "a", "like": "<y>", "row": 1}, "at most one of like and row"),
        ({"zero": True, "row": 1}, "no like and no row beside zero"),
        ({"source": "a", "row": -1}, "greater than or equal to 0"),
        ({"source": "a", "row": 2**31}, "less than or equal to"),
        ({"source": "a", "token": ""}, "at least 1 character"),
    ],
)
def test_a_row_is_one_row(row: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TokenRow.model_validate({"token": "<x>", **row})


def test_a_token_has_one_row() -> None:
    row = {"token": "<x>", "zero": True}
    with pytest.raises(ValidationError, match="each token once, found <x> more than once"):
        Vocabulary.model_validate({"tokens": [row, row]})


def test_the_padding_is_bounded() -> None:
    assert Vocabulary(pad_to_multiple_of=65536).pad_to_multiple_of == 65536
    for padding in (0, 65537, 10**12):
        with pytest.raises(ValidationError, match="than or equal to"):
            Vocabulary(pad_to_multiple_of=padding)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ({}, "either format or jinja, found neither"),
        ({"format": "chatml", "jinja": "{{ messages }}"}, "either format or jinja, found both"),
        ({"format": "vicuna"}, "'auto', 'chatml'"),
        ({"jinja": "{{ messages"}, "expected a chat template, found a mistake in line 1"),
        ({"jinja": "{{ messages }}" + "x" * 100_000}, "at most 100000 characters"),
    ],
)
def test_a_template_is_one_template(template: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ChatTemplate.model_validate(template)


@pytest.mark.parametrize(
    "text",
    [
        "{{ messages[0].content }}",
        "{% for m in messages %}{% if loop.last %}{% break %}{% endif %}{{ m | tojson }}{% endfor %}",
        "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}",
        "{% set ns = namespace(n=0) %}{% if messages is defined %}{{ raise_exception('no') }}{% endif %}",
        "{{ messages }}{{ 10 ** 10 ** 10 ** 10 }}",  # would take forever if it were computed
    ],
)
def test_a_chat_template(text: str) -> None:
    assert find_mistake(text) is None


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("chatml", "a text that never looks at `messages`"),
        ("", "a text that never looks at `messages`"),
        ("{{ message }}", "a text that never looks at `messages`"),
        ("{# messages #}", "a text that never looks at `messages`"),
        ("\n{% for m in messages %}", "a mistake in line 2"),
        ("{{ messages | shout }}", "no such filter in line 1: shout"),
        ("\n\n{{ messages is loud }}", "no such test in line 3: loud"),
        ("{% generation %}{{ messages }}", "a mistake in line 1"),
        ("{{" + "(" * 9000 + "messages" + ")" * 9000 + "}}", "too deep"),
    ],
)
def test_no_chat_template(text: str, mistake: str) -> None:
    assert mistake in str(find_mistake(text))
