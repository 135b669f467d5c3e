"""Conversations: the same one in every form, and rows that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from suture.conversations import read_conversation, recognise
from suture.corpus import PinnedConversations, pin_data, read_conversations
from suture.errors import DataError
from suture.recipe import Data

USER = {"role": "user", "content": "What is a seam?"}
ASSISTANT = {"role": "assistant", "content": "Where two parts meet."}
SYSTEM = {"role": "system", "content": "Be short."}
ROWS: dict[str, list[dict[str, Any]]] = {
    "messages": [{"messages": [SYSTEM, USER, ASSISTANT], "id": 7}],
    "sharegpt": [
        {
            "system": "Be short.",
            "conversations": [
                {"from": "human", "value": "What is a seam?"},
                {"from": "gpt", "value": "Where two parts meet."},
            ],
        },
        {"conversations": [SYSTEM, USER, ASSISTANT]},
        {"conversation": [SYSTEM, USER, ASSISTANT], "input": "What is a seam?"},
    ],
    "alpaca": [
        {"system": "Be short.", "instruction": "What is", "input": "", "output": ""},
        {"system": "Be short.", "instruction": "What is a seam?", "output": "Where two parts meet."},
    ],
    "prompt_completion": [
        {"prompt": [SYSTEM, USER], "completion": "Where two parts meet."},
        {"prompt": [SYSTEM, USER], "completion": [ASSISTANT]},
    ],
}


@pytest.mark.parametrize("form", ROWS)
def test_every_form_is_recognised_and_holds_the_same(form: Any) -> None:
    for row in ROWS[form]:
        assert recognise(row, "here") == form
        if row.get("output") != "":
            assert read_conversation(row, form, "here") == [SYSTEM, USER, ASSISTANT]


def test_an_alpaca_row_may_have_an_input() -> None:
    row = {"instruction": "Translate.", "input": "Naht", "output": "seam"}
    assert read_conversation(row, "alpaca", "")[0] == {"role": "user", "content": "Translate.\n\nNaht"}


def test_a_conversation_goes_before_a_text() -> None:
    assert recognise({"text": "x", "messages": []}, "") == "messages"
    assert recognise({"text": "x"}, "") == "text"


@pytest.mark.parametrize(
    ("form", "row", "found"),
    [
        ("messages", {"messages": "hello"}, "str instead of a list"),
        ("messages", {"messages": []}, "no message"),
        ("messages", {"messages": [{"content": "x"}]}, "without a role"),
        ("messages", {"messages": [{"role": "user", "content": 3}]}, "user message without content"),
        ("messages", {"messages": [{"role": "assistant", "content": None}]}, "without content"),
        ("messages", {}, "missing 'messages'"),
        ("sharegpt", {"conversations": [{"from": "narrator", "value": "x"}]}, "'narrator'"),
        ("sharegpt", {"conversations": ["x"]}, "a turn that is str"),
        ("alpaca", {"instruction": ["x"], "output": "y"}, "instruction is list"),
        ("prompt_completion", {"prompt": "x", "completion": 1}, "int instead of a list"),
    ],
)
def test_a_row_that_is_none_is_explained(form: Any, row: dict[str, Any], found: str) -> None:
    with pytest.raises(DataError) as caught:
        read_conversation(row, form, "file.jsonl, line 3")
    assert caught.value.where == "file.jsonl, line 3"
    assert found in str(caught.value.found)


def test_a_tool_call_needs_no_content() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}
    assert read_conversation({"messages": [USER, call]}, "messages", "")[1] == call


# -- files -----------------------------------------------------------------------------------------------------------


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def pin(path: Path, **fields: Any) -> PinnedConversations:
    pinned = pin_data(Data(text=str(path), **fields), alone=True)
    assert isinstance(pinned, PinnedConversations)
    return pinned


def test_equal_conversations_are_read_once_and_know_their_line(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", *ROWS["messages"], "", *ROWS["messages"], {"messages": [USER, ASSISTANT]})
    pinned = pin(path)
    assert pinned.format == "messages"
    found = list(read_conversations(pinned))
    assert [(one.where, len(one.messages)) for one in found] == [(f"{path}, line 1", 3), (f"{path}, line 4", 2)]


def test_a_file_of_texts_stays_text(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", {"text": "seam"})
    assert not isinstance(pin_data(Data(text=str(path)), alone=True), PinnedConversations)


@pytest.mark.parametrize(
    ("lines", "problem", "line"),
    [
        ([{"messages": [USER]}, "{broken"], "not JSON", 2),
        ([{"messages": [USER]}, "[1]"], "no JSON object", 2),
        ([{"messages": [USER]}, {"text": "x"}], "no conversation in the form `messages`", 2),
        ([{"question": "x"}], "none of the forms", 1),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, lines: list[object], problem: str, line: int) -> None:
    path = write(tmp_path / "x.jsonl", *lines)
    with pytest.raises(DataError, match=problem) as caught:
        pin(path)
    assert caught.value.where == f"{path}, line {line}"


def test_an_empty_file_and_a_form_of_what_has_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no text"):
        pin(write(tmp_path / "x.jsonl", ""))
    (tmp_path / "x.txt").write_text("seam")
    with pytest.raises(DataError, match="holds no conversations"):
        pin(tmp_path / "x.txt", format="alpaca")


def test_held_out_conversations_are_not_trained_on(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": str(n)}, ASSISTANT]} for n in range(200)]
    path = write(tmp_path / "x.jsonl", *rows)
    trained = list(read_conversations(pin(path).model_copy(update={"part": "train"})))
    assert 150 < len(trained) < 195


def test_a_file_that_changed_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", *ROWS["messages"])
    pinned = pin(path)
    write(path, {"messages": [USER, ASSISTANT]})
    with pytest.raises(DataError, match="changed since"):
        list(read_conversations(pinned))
