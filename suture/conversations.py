"""Conversations to train on, in the forms in which data sets hold them.

    messages           {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", ...}]}
    sharegpt           {"conversations": [{"from": "human", "value": "..."}, {"from": "gpt", ...}], "system": "..."}
    alpaca             {"instruction": "...", "input": "...", "output": "...", "system": "..."}
    prompt_completion  {"prompt": "..." or messages, "completion": "..." or messages}
    text               {"text": "..."}: no conversation

`input` and `system` may be left out; `conversation` may stand for `conversations`; other fields of a row are not
looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, get_args

from pydantic import JsonValue

from suture.errors import DataError

ChatFormat = Literal["messages", "sharegpt", "alpaca", "prompt_completion"]

Message = dict[str, JsonValue]
"""`role`, `content`, and what else a chat template may look at, such as `tool_calls`."""

Row = Mapping[str, JsonValue]

_ROLES = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "chatgpt": "assistant",
    "model": "assistant", "bot": "assistant", "system": "system", "tool": "tool", "observation": "tool",
}  # fmt: skip
"""ShareGPT's names of roles -> those of chat templates."""

EXPECTED = (
    'a "text", "messages", "conversations" (ShareGPT), "instruction" with "output" (Alpaca), or "prompt" with '
    '"completion"'
)


def recognise(row: Row, where: str) -> ChatFormat | Literal["text"]:
    """Return which form a row has; a conversation goes before a text that stands beside it.

    Raises:
        DataError: When it has none of them.
    """
    for name, fields in _FIELDS:
        if fields <= row.keys():
            return name
    if "text" in row:
        return "text"
    raise DataError(
        "The row has none of the forms that are known.",
        where=where,
        expected=EXPECTED,
        found=f"fields {', '.join(row) or 'none'}",
    )


def read_conversation(row: Row, form: ChatFormat, where: str) -> list[Message]:
    """Return a row's messages.

    Raises:
        DataError: When a field is missing or of another kind.
    """
    try:
        messages = _READERS[form](row)
    except (KeyError, TypeError, ValueError) as error:
        raise _misformed(form, where, error) from error
    for message in messages:
        content = message.get("content")
        if not (isinstance(content, str | list) or (content is None and message.get("tool_calls"))):
            raise _misformed(form, where, f"a {message['role']} message without content")
    if not messages:
        raise _misformed(form, where, "no message")
    return messages


def _misformed(form: ChatFormat, where: str, found: object) -> DataError:
    problem = f"missing {found}" if isinstance(found, KeyError) else str(found)
    return DataError(
        f"The row is no conversation in the form `{form}`.",
        where=where,
        expected=_EXAMPLES[form],
        found=problem,
        way_out=f"Mend the row, or name its form: one of {', '.join(get_args(ChatFormat))}, text.",
    )


def _messages(value: JsonValue) -> list[Message]:
    if not isinstance(value, list):
        msg = f"{type(value).__name__} instead of a list"
        raise TypeError(msg)
    return [_message(each) for each in value]


def _message(value: JsonValue) -> Message:
    if not isinstance(value, dict) or not isinstance(value.get("role"), str):
        msg = f"a message without a role: {str(value)[:80]}"
        raise TypeError(msg)
    return dict(value)


def _text(row: Row, field: str) -> str:
    value = row[field]
    if not isinstance(value, str):
        msg = f"{field} is {type(value).__name__} instead of text"
        raise TypeError(msg)
    return value


def _from_messages(row: Row) -> list[Message]:
    return _messages(row["messages"])


def _from_sharegpt(row: Row) -> list[Message]:
    turns = row["conversation" if "conversation" in row else "conversations"]
    if not isinstance(turns, list):
        msg = f"{type(turns).__name__} instead of a list"
        raise TypeError(msg)
    return [*_system(row), *(_turn(turn) for turn in turns)]


def _turn(turn: JsonValue) -> Message:
    if not isinstance(turn, dict):
        msg = f"a turn that is {type(turn).__name__}"
        raise TypeError(msg)
    if "role" in turn:  # some data sets of this form have the newer names inside
        return _message(turn)
    speaker = _text(turn, "from")
    if speaker not in _ROLES:
        msg = f"a turn from {speaker!r}; known are {', '.join(_ROLES)}"
        raise ValueError(msg)
    return {"role": _ROLES[speaker], "content": _text(turn, "value")}


def _from_alpaca(row: Row) -> list[Message]:
    extra = row.get("input") or ""
    question = "\n\n".join(part for part in (_text(row, "instruction"), str(extra)) if part)
    return [
        *_system(row),
        {"role": "user", "content": question},
        {"role": "assistant", "content": _text(row, "output")},
    ]


def _from_prompt(row: Row) -> list[Message]:
    return [*_said(row, "prompt", "user"), *_said(row, "completion", "assistant")]


def _said(row: Row, field: str, role: str) -> list[Message]:
    value = row[field]
    return [{"role": role, "content": value}] if isinstance(value, str) else _messages(value)


def _system(row: Row) -> list[Message]:
    return [{"role": "system", "content": _text(row, "system")}] if row.get("system") else []


_FIELDS: tuple[tuple[ChatFormat, set[str]], ...] = (
    ("messages", {"messages"}),
    ("sharegpt", {"conversations"}),
    ("sharegpt", {"conversation"}),
    ("alpaca", {"instruction", "output"}),
    ("prompt_completion", {"prompt", "completion"}),
)
"""Forms, and the fields by which each is recognised."""

_READERS: dict[ChatFormat, Callable[[Row], list[Message]]] = {
    "messages": _from_messages,
    "sharegpt": _from_sharegpt,
    "alpaca": _from_alpaca,
    "prompt_completion": _from_prompt,
}

_EXAMPLES: dict[ChatFormat, str] = {
    "messages": '{"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}',
    "sharegpt": '{"conversations": [{"from": "human", "value": "..."}, {"from": "gpt", "value": "..."}]}',
    "alpaca": '{"instruction": "...", "input": "...", "output": "..."}',
    "prompt_completion": '{"prompt": "...", "completion": "..."}',
}
