"""Answers that call tools, as a server gives them."""

from __future__ import annotations

import json

from suture.bench.suite import Answer, ToolCall


def calls(name: str, /, **arguments: object) -> Answer:
    """An answer that is one structured call."""
    return also(Answer("", finish="tool_calls"), name, **arguments)


def also(answer: Answer, name: str, /, **arguments: object) -> Answer:
    """The same answer with one more call."""
    number = len(answer.tool_calls)
    call = ToolCall(f"server-{number}", name, json.dumps(arguments))
    return Answer(answer.text, tool_calls=(*answer.tool_calls, call), finish="tool_calls")
