from __future__ import annotations

import json

import pytest

from suture.bench.suite import Answer, ToolCall
from suture.bench.suite.calls import arguments_of, forms, read_calls
from suture.bench.suite.worlds import string, tool

WEATHER = tool("get_weather", "Weather.", {"city": string("City.")}, {"days": {"type": "integer"}, "id": string("")})
CLOCK = tool("get_time", "Time.", {})
TOOLS = (WEATHER, CLOCK)
PARIS = ("get_weather", {"city": "Paris", "days": 3})
OBJECT = '{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}'
LLAMA = '{"name": "get_weather", "parameters": {"city": "Paris", "days": 3}}'
NESTED = '{"type": "function", "function": ' + OBJECT + "}"
TWICE = '{"name": "get_weather", "arguments": "{\\"city\\": \\"Paris\\", \\"days\\": 3}"}'
INVOKED = """<invoke name="get_weather">
<parameter name="city">Paris</parameter><parameter name="days">3</parameter>
</invoke>"""
PAIRS = """<arg_key>city</arg_key>
<arg_value>Paris</arg_value>
<arg_key>days</arg_key><arg_value>3</arg_value>"""
PARAMETERS = "<parameter=city>\nParis\n</parameter>\n<parameter=days>3</parameter>"


def read(text: str) -> list[tuple[str, object]]:
    said = read_calls(Answer(text), TOOLS)
    assert all(call.form == "text" for call in said.calls)
    return [(call.name, arguments_of(call)) for call in said.calls]


@pytest.mark.parametrize(
    "text",
    [
        f"<tool_call>\n{OBJECT}\n</tool_call>",
        f"I'll look it up.\n<tool_call>{OBJECT}",  # never closed
        f"<tool_call>[{OBJECT}]</tool_call>",
        f"<tool_call>{TWICE}</tool_call>",
        f"<tool_call>{NESTED}</tool_call>",
        f"<tools>{OBJECT}</tools>",
        f"<function_call>{OBJECT}</function_call>",
        f"<tool_call>\n<function=get_weather>\n{PARAMETERS}\n</function>\n</tool_call>",
        f"<function=get_weather>{PARAMETERS}</function>",
        f"<function=get_weather>{PARAMETERS}".removesuffix("</parameter>"),
        '<function=get_weather>{"city": "Paris", "days": 3}</function>',
        INVOKED,
        f"<function_calls>\n{INVOKED}\n</function_calls>",
        f"<tool_call>get_weather\n{PAIRS}\n</tool_call>",
        f"[TOOL_CALLS][{OBJECT}]",
        f"[TOOL_CALLS] [{OBJECT}]</s>",
        '[TOOL_CALLS]get_weather[ARGS]{"city": "Paris", "days": 3}',
        '[TOOL_CALLS]get_weather{"city": "Paris", "days": 3}',
        '<|tool_call_start|>[get_weather(city="Paris", days=3)]<|tool_call_end|>',
        f"<|python_tag|>{LLAMA}",
        f"<|tool_call|>[{OBJECT}]<|/tool_call|>",
        f"```json\n{OBJECT}\n```",
        f"Here is the call:\n```\n{LLAMA}\n```\nI'll wait for it.",
        f'```json\n{{"tool_calls": [{NESTED}]}}\n```',
        '```tool_code\nprint(get_weather(city="Paris", days=3))\n```',
        '```python\nget_weather("Paris", 3)\n```',
        OBJECT,
        LLAMA,
        f"[{OBJECT}]",
        '[get_weather(city="Paris", days=3)]',
        f"Sure, I will call {OBJECT} for you.",
        '{"function": "get_weather", "args": {"city": "Paris", "days": 3}}',
        f"<think>get_time first?</think>{OBJECT}",
    ],
)
def test_a_call_is_found_in_the_text(text: str) -> None:
    assert read(text) == [PARIS]


@pytest.mark.parametrize(
    "text",
    [
        f'<tool_call>{OBJECT}</tool_call>\n<tool_call>{{"name": "get_time", "arguments": {{}}}}</tool_call>',
        f'<tool_call>{OBJECT}\n{{"name": "get_time", "arguments": {{}}}}</tool_call>',
        f'{OBJECT}; {{"name": "get_time", "arguments": {{}}}}',
        f"<function=get_weather>{PARAMETERS}</function><function=get_time></function>",
        '[get_weather(city="Paris", days=3), get_time()]',
        '```python\nget_weather(city="Paris", days=3)\nget_time()\n```',
        f'[TOOL_CALLS][{OBJECT}, {{"name": "get_time", "arguments": {{}}}}]',
    ],
)
def test_several_calls_are_found_in_order(text: str) -> None:
    assert read(text) == [PARIS, ("get_time", {})]


@pytest.mark.parametrize(
    "text",
    [
        "I would call get_weather for Paris.",
        "get_weather",
        f"<think>{OBJECT}</think>It is sunny.",
        "<tool_call></tool_call>",
        "<tool_call>Paris, please!</tool_call>",
        '```json\n{"name": "Paris", "arguments": ["city"]}\n```',  # JSON of another kind
        '{"name": "get_rain", "arguments": {}}',  # not a tool, and not tagged as a call
        '{"name": "get_weather"}',
        '```python\nprint("get_weather")\n```',
        "```python\nfor city in cities:\n    get_weather(city)\n```",
        "```python\nget_weather(city)\n```",
        "[" * 100_000,
        "{" * 100_000,
        "(" * 100_000,
    ],
)
def test_what_is_no_call_is_not_taken_for_one(text: str) -> None:
    assert read(text) == []


def test_a_tagged_call_of_a_tool_that_does_not_exist_is_a_call() -> None:
    assert read('<tool_call>{"name": "get_rain", "arguments": {}}</tool_call>') == [("get_rain", {})]


@pytest.mark.parametrize("arguments", ['{"city": "Paris"', "{'city': 'Paris'}", "Paris"])
def test_broken_arguments_are_a_call_that_went_wrong(arguments: str) -> None:
    text = f'<tool_call>{{"name": "get_weather", "arguments": {arguments}</tool_call>'
    assert read(text) == [("get_weather", None)]


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        ("", {}),
        ("{}", {}),
        ('{"a": 1}', {"a": 1}),
        (json.dumps('{"a": 1}'), {"a": 1}),
        ("[1]", None),
        ("3", None),
        ('"a"', None),
        ('{"a": 1', None),
        ("null", None),
    ],
)
def test_arguments(arguments: str, meant: object) -> None:
    assert arguments_of(ToolCall("", "get_time", arguments)) == meant


def test_values_without_quotes_get_the_type_that_the_tool_wants() -> None:
    text = "<function=get_weather><parameter=city>12</parameter><parameter=days>12</parameter></function>"
    assert read(text) == [("get_weather", {"city": "12", "days": 12})]
    text = "<function=get_weather><parameter=days>null</parameter><parameter=more>two words</parameter></function>"
    assert read(text) == [("get_weather", {"days": None, "more": "two words"})]


def test_text_over_several_lines_is_kept_as_it_is() -> None:
    text = "<function=get_weather>\n<parameter=city>\n  Paris\n\n  Rome\n</parameter>\n</function>"
    assert read(text) == [("get_weather", {"city": "  Paris\n\n  Rome"})]


def test_structured_calls_go_before_those_in_the_text() -> None:
    given = ToolCall("x7f", "get_time", "{}")
    said = read_calls(Answer(f"Let me see. {OBJECT}", tool_calls=(given,)), TOOLS)
    assert [(call.name, call.form) for call in said.calls] == [("get_time", "structured")]
    assert said.rest.startswith("Let me see.")
    assert forms(said.calls) == "structured"


def test_the_rest_is_what_is_said_around_the_calls() -> None:
    said = read_calls(Answer(f"One moment.\n<tool_call>{OBJECT}</tool_call>\nHere we go."), TOOLS)
    assert said.rest == "One moment.\n\nHere we go."
    assert forms(said.calls) == "in the text"
    assert read_calls(Answer("```\nno call\n```"), TOOLS).rest == "```\nno call\n```"


def test_ids_depend_on_nothing_but_the_place() -> None:
    ids = set[str]()
    for turn in range(3):
        answer = Answer("", tool_calls=(ToolCall(f"random-{turn}", "get_time", ""), ToolCall("x", "get_time", "")))
        ids |= {call.id for call in read_calls(answer, TOOLS, turn).calls}
    assert len(ids) == 6
    assert all(len(each) == 9 and each.isalnum() for each in ids)  # what Mistral's template demands
    again = read_calls(Answer("", tool_calls=(ToolCall("other", "get_time", ""),)), TOOLS, 2).calls[0]
    assert again.id in ids
