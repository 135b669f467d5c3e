"""Whether a tool was called with what the request implies: by meaning, not by notation."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from pydantic import JsonValue

from suture.bench.suite.calls import arguments_of, forms
from suture.bench.suite.form import Score, Tool, ToolCall, right, wrong
from suture.bench.suite.jsontext import same

Fits = Callable[[JsonValue], bool]
"""Whether an argument is what was meant."""


def exactly(wanted: JsonValue) -> Fits:
    """Equal; a number in whatever notation, but never true for 1."""
    return lambda given: same(given, wanted)


def worded(pattern: str) -> Fits:
    """A text that matches as a whole, in any case, white space around it not counted."""
    wanted = re.compile(pattern, re.IGNORECASE)
    return lambda given: isinstance(given, str) and wanted.fullmatch(given.strip()) is not None


def in_any_order(*wanted: JsonValue) -> Fits:
    """A list of just these, each once."""
    return lambda given: (
        isinstance(given, list)
        and len(given) == len(wanted)
        and all(any(same(each, one) for each in given) for one in wanted)
    )


def score_only_call(calls: Sequence[ToolCall], tool: Tool, expected: Mapping[str, Fits]) -> Score:
    """Score the calls of an answer of which one call of one tool was wanted."""
    names = [call.name for call in calls]
    if not calls:
        return wrong("no_call", f"called no tool, expected {tool.name}")
    if set(names) != {tool.name}:
        return wrong("wrong_tool", f"called {', '.join(names)}, expected {tool.name} ({forms(calls)})")
    if len(calls) > 1:
        return wrong("needless_call", f"called {tool.name} {len(calls)} times ({forms(calls)})")
    arguments = arguments_of(calls[0])
    if arguments is None:
        return wrong("invalid_json", f"the arguments are no JSON object: {calls[0].arguments[:200]!r}")
    flaw = _flaw(arguments, tool, expected)
    if flaw:
        return wrong("wrong_arguments", f"{flaw} ({forms(calls)})")
    return right(f"called {tool.name} as it should ({forms(calls)})")


def _flaw(arguments: Mapping[str, JsonValue], tool: Tool, expected: Mapping[str, Fits]) -> str:
    for name, fits in expected.items():
        if name not in arguments:
            return f"{name} is missing"
        if not fits(arguments[name]):
            return f"{name} is {arguments[name]!r}"
    for name, given in arguments.items():
        # what is null, or the tool's own default, says nothing that the user did not
        if name not in expected and given is not None and given != _default(tool, name):
            return f"nobody asked for {name} {given!r}"
    return ""


def _default(tool: Tool, name: str) -> JsonValue:
    properties = tool.parameters["properties"]
    schema = properties.get(name) if isinstance(properties, dict) else None
    return schema.get("default") if isinstance(schema, dict) else None
