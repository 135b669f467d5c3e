"""How scorers read tool calls: as the server gave them, or as the model wrote them into its text.

A server splits calls off only in the form that its chat template knows. Models write others too, and what was called
is plain all the same:

    <tool_call>{"name": "f", "arguments": {"x": 1}}</tool_call>             Hermes, Qwen
    <tool_call>f<arg_key>x</arg_key><arg_value>1</arg_value></tool_call>    GLM
    <function=f><parameter=x>1</parameter></function>                       Qwen-Coder; Llama 3 with JSON inside
    <invoke name="f"><parameter name="x">1</parameter></invoke>             Claude, MiniMax
    [TOOL_CALLS][{"name": "f", "arguments": {"x": 1}}]                      Mistral; also f[ARGS]{"x": 1}
    <|tool_call_start|>[f(x=1)]<|tool_call_end|>                            LFM; Llama 3 without the tags
    ```json {"name": "f", "parameters": {"x": 1}} ```                       anyone; also without the fence
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from pydantic import JsonValue

from suture.bench.suite.form import Answer, Tool, ToolCall
from suture.bench.suite.jsontext import decoded
from suture.bench.suite.reading import parsed

Arguments = dict[str, JsonValue]
_Call = tuple[str, str]
"""A tool's name, and its arguments as JSON."""

_TAGGED = re.compile(
    r"<(?P<tag>tool_calls?|function_calls?|toolcall)>(.*?)(?:</(?P=tag)>|(?=<(?P=tag)>)|\Z)"
    r"|<\|tool_call(?:_start|_begin)?\|>(.*?)(?:<\|/?tool_call(?:_end)?\|>|\Z)"
    r"|(?:\[TOOL_CALLS\]|<\|python_tag\|>)(.*)\Z"
    r"|(<function=.*?(?:</function>|\Z)|<invoke name=.*?(?:</invoke>|\Z))",
    re.DOTALL,
)
_FENCED = re.compile(r"```[\w-]*\s*\n?(.*?)(?:```|\Z)", re.DOTALL)
_WHOLE = re.compile(r"\A(.*)\Z", re.DOTALL)
_INLINE = re.compile(r'([\[{]\s*\{?\s*"(?:name|function|tool|type)"\s*:.*)\Z', re.DOTALL)

_FUNCTION = re.compile(
    r"<(?:function=|invoke name=)[\"']?([\w.-]+)[\"']?>(.*?)(?:</(?:function|invoke)>|\Z)", re.DOTALL
)
_PARAMETER = re.compile(
    r"<parameter(?:=| name=)[\"']?([\w.-]+)[\"']?[^>]*>(.*?)(?:</parameter>|(?=<parameter)|\Z)", re.DOTALL
)
_PAIR = re.compile(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)(?:</arg_value>|\Z)", re.DOTALL)
_NAME_FIRST = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*(?:\[ARGS\])?\s*(?=[{<]|\Z)")
_NAME_IN_JSON = re.compile(r'"name"\s*:\s*"([\w.-]+)"')


@dataclass(frozen=True)
class Said:
    """An answer, taken apart.

    Attributes:
        calls: What it calls, with ids that only depend on their place.
        rest: What it visibly says beside.
    """

    calls: tuple[ToolCall, ...]
    rest: str


def read_calls(answer: Answer, tools: Sequence[Tool], turn: int = 0) -> Said:
    """Take an answer apart; what stands in the text counts only where the server gave no calls.

    Args:
        answer: What the model said.
        tools: What it may call: without tags around it, only a call of one of these is taken for a call.
        turn: Number of the answer within its conversation, which makes the ids unique.
    """
    if answer.tool_calls:
        return Said(_numbered(answer.tool_calls, turn), answer.visible)
    known = {tool.name: tool for tool in tools}
    for envelope in (_TAGGED, _FENCED, _WHOLE, _INLINE):
        found, rest = _open(answer.visible, envelope, known)
        if found and (envelope is _TAGGED or all(name in known for name, _ in found)):
            calls = tuple(ToolCall("", name, arguments, "text") for name, arguments in found)
            return Said(_numbered(calls, turn), rest)
    return Said((), answer.visible)


def arguments_of(call: ToolCall) -> Arguments | None:
    """Return a call's arguments; None where they are no JSON object. No text at all stands for no arguments."""
    value = decoded(call.arguments or "{}")
    if isinstance(value, str):  # encoded twice
        value = decoded(value)
    return value if isinstance(value, dict) else None


def forms(calls: Sequence[ToolCall]) -> str:
    """Return in words how the calls came."""
    kinds = {call.form for call in calls}
    return "partly in the text" if len(kinds) > 1 else "in the text" if "text" in kinds else "structured"


def _numbered(calls: Sequence[ToolCall], turn: int) -> tuple[ToolCall, ...]:
    """Give the calls ids of their place: a server's are random. Mistral's template insists on nine characters."""
    return tuple(replace(call, id=f"call{turn:02d}{number:03d}") for number, call in enumerate(calls))


def _open(text: str, envelope: re.Pattern[str], known: Mapping[str, Tool]) -> tuple[list[_Call], str]:
    """Return the calls in all envelopes of a kind, and the text outside of those that hold calls."""
    found: list[_Call] = []

    def take(match: re.Match[str]) -> str:
        body = next(group for group in reversed(match.groups()) if group is not None)
        calls = _contents(body, known, tagged=envelope is _TAGGED)
        found.extend(calls)
        return "" if calls else match[0]

    rest = envelope.sub(take, text)
    return found, rest.strip()


def _contents(body: str, known: Mapping[str, Tool], *, tagged: bool) -> list[_Call]:
    readers: tuple[Callable[[str, Mapping[str, Tool]], list[_Call]], ...] = (_elements, _objects, _expressions)
    if tagged:
        readers = (*readers, _name_first, _broken)
    for reader in readers:
        calls = reader(body, known)
        if calls:
            return calls
    return []


def _elements(body: str, known: Mapping[str, Tool]) -> list[_Call]:
    """Read `<function=...>` and `<invoke name=...>`."""
    return [(name, _parameters(inner, known.get(name))) for name, inner in _FUNCTION.findall(body)]


def _parameters(inner: str, tool: Tool | None) -> str:
    pairs = _PARAMETER.findall(inner) or _PAIR.findall(inner)
    if not pairs:
        return inner.strip() or "{}"
    return json.dumps({name.strip(): _typed(value.strip("\r\n"), name.strip(), tool) for name, value in pairs})


def _typed(value: str, name: str, tool: Tool | None) -> JsonValue:
    """Return a value that was written without quotes as the type that the tool wants."""
    schema = _properties(tool).get(name)
    if isinstance(schema, dict) and schema.get("type") == "string":
        return value
    meant = decoded(value)
    return value if meant is None and value.strip() != "null" else meant


def _properties(tool: Tool | None) -> Mapping[str, JsonValue]:
    properties = tool.parameters.get("properties") if tool else None
    return properties if isinstance(properties, dict) else {}


def _objects(body: str, _known: Mapping[str, Tool]) -> list[_Call]:
    """Read JSON: one call, several, or a list of them."""
    return [call for value in _values(body) for call in _from_json(value)]


def _values(body: str) -> Iterator[JsonValue]:
    """Yield the JSON values that the text consists of; stop where it goes on with anything else."""
    decoder = json.JSONDecoder()
    rest = body.strip()
    while rest.startswith(("{", "[")):
        try:
            value, end = cast("tuple[JsonValue, int]", decoder.raw_decode(rest))
        except (ValueError, RecursionError):
            return
        yield value
        rest = rest[end:].lstrip(" \t\r\n,;")


def _from_json(value: JsonValue) -> list[_Call]:
    if isinstance(value, list):
        return [call for item in value for call in _from_json(item)]
    if not isinstance(value, dict):
        return []
    for wrapper in ("tool_calls", "tool_call", "function"):
        inner = value.get(wrapper)
        if isinstance(inner, dict | list):
            return _from_json(inner)
    name = value.get("name") or value.get("tool") or value.get("function")
    given = next((value[key] for key in ("arguments", "parameters", "args") if key in value), None)
    if not isinstance(name, str) or given is None:
        return []
    return [(name, given if isinstance(given, str) else json.dumps(given))]


def _expressions(body: str, known: Mapping[str, Tool]) -> list[_Call]:
    """Read `f(x=1)`, also in a list or in `print`."""
    module = parsed(body.strip())
    expressions = [line.value for line in module.body if isinstance(line, ast.Expr)] if module else []
    if module is None or len(expressions) < len(module.body):
        return []
    lists = [each.elts if isinstance(each, ast.List | ast.Tuple) else [each] for each in expressions]
    items = [item for items in lists for item in items]
    calls = [_expression(item, known) for item in items]
    return [call for call in calls if call is not None] if all(calls) else []


def _expression(item: ast.expr, known: Mapping[str, Tool]) -> _Call | None:
    if not isinstance(item, ast.Call):
        return None
    name = item.func.attr if isinstance(item.func, ast.Attribute) else getattr(item.func, "id", "")
    if name == "print" and len(item.args) == 1:
        return _expression(item.args[0], known)
    if name not in known:
        return None
    named = [*zip(_properties(known[name]), item.args, strict=False)]
    named += [(keyword.arg or "", keyword.value) for keyword in item.keywords]
    try:
        return name, json.dumps({key: ast.literal_eval(value) for key, value in named})
    except (ValueError, TypeError, RecursionError, MemoryError):
        return None


def _name_first(body: str, known: Mapping[str, Tool]) -> list[_Call]:
    """Read a name with its arguments after it."""
    name = _NAME_FIRST.match(body)
    return [(name[1], _parameters(body[name.end() :], known.get(name[1])))] if name else []


def _broken(body: str, _known: Mapping[str, Tool]) -> list[_Call]:
    """Read the name out of what was meant to be JSON: a call that went wrong is another thing than none."""
    name = _NAME_IN_JSON.search(body)
    return [(name[1], body.strip())] if name else []
