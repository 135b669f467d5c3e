from __future__ import annotations

import json

import pytest

from suture.bench.suite import Answer, Server, ToolCall
from tests.unit.bench.answers.calling import also, calls
from tests.unit.bench.answers.tools import ADVERSARY, FLIGHT, PERFECT, TICKET
from tests.unit.bench.transcripts import found, lead, score, score_answers

PARCEL = {"tracking_number": "RB5521883047NO"}
LOOKED_UP = calls("get_order", order_number="70412")
SINGLE = ("tool-one-call", "tool-optional-parameters", "tool-choice", "tool-arrays-enums")


def raw(name: str, arguments: str) -> Answer:
    return Answer("", tool_calls=(ToolCall("1", name, arguments),), finish="tool_calls")


def error_class(test: str, *answers: Answer | str) -> str:
    return score_answers(found(test), answers).error_class


def test_perfect_answers_pass_and_those_that_only_look_right_do_not() -> None:
    assert {test for test, answers in PERFECT.items() if error_class(test, *answers)} == set()
    assert {test: error_class(test, *answers) for test, answers in ADVERSARY.items()} == {
        "tool-one-call": "wrong_arguments",
        "tool-optional-parameters": "wrong_arguments",
        "tool-no-call": "needless_call",
        "tool-choice": "wrong_tool",
        "tool-arrays-enums": "wrong_arguments",
        "tool-uses-answer": "wrong_answer",
    }


@pytest.mark.parametrize("test", PERFECT)
def test_a_template_without_tools_is_no_failure_of_the_model(test: str) -> None:
    assert found(test).needs_tools
    server = Server(models=("m",), template_has_tools=False)
    assert score(test, "Yes.", server=server).error_class == "template_lacks_tools"


@pytest.mark.parametrize("test", SINGLE)
def test_the_same_call_in_the_text_counts_and_the_score_says_so(test: str) -> None:
    (answer,) = PERFECT[test]
    assert isinstance(answer, Answer)
    call = answer.tool_calls[0]
    text = f'<tool_call>{{"name": "{call.name}", "arguments": {call.arguments}}}</tool_call>'
    assert score(test, text).why == score_answers(found(test), [answer]).why.replace("structured", "in the text")
    parameters = "".join(
        f"<parameter={name}>{value if isinstance(value, str) else json.dumps(value)}</parameter>"
        for name, value in json.loads(call.arguments).items()
    )
    assert score(test, f"<function={call.name}>{parameters}</function>").passed


@pytest.mark.parametrize("test", SINGLE)
def test_one_call_means_one(test: str) -> None:
    (answer,) = PERFECT[test]
    assert isinstance(answer, Answer)
    call = answer.tool_calls[0]
    assert error_class(test, also(answer, call.name, **json.loads(call.arguments))) == "needless_call"
    assert error_class(test, also(answer, "look_around")) == "wrong_tool"
    assert error_class(test, raw(call.name, call.arguments[:-1])) == "invalid_json"
    assert error_class(test, raw(call.name, "[]")) == "invalid_json"
    assert error_class(test, raw(call.name, "{}")) == "wrong_arguments"
    assert error_class(test, "I will do that right away.") == "no_call"
    assert score(test, "First I think about", finish="length").error_class == "length"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (PARCEL, ""),
        ({"tracking_number": " rb5521883047no "}, ""),
        ({"tracking_number": "RB 552188304 7NO"}, "wrong_arguments"),  # the schema says: without spaces
        ({"tracking_number": 5521883047}, "wrong_arguments"),
        ({"number": "RB5521883047NO"}, "wrong_arguments"),
        ({**PARCEL, "carrier": "Posten"}, "wrong_arguments"),
        ({**PARCEL, "carrier": None}, ""),
    ],
)
def test_one_call(arguments: dict[str, object], expected: str) -> None:
    assert error_class("tool-one-call", calls("track_parcel", **arguments)) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ""),
        ({"max_stops": 0.0}, ""),
        ({"cabin": "economy"}, ""),  # the tool's own default
        ({"cabin": None, "airline": None}, ""),
        ({"max_stops": "0"}, "wrong_arguments"),
        ({"max_stops": False}, "wrong_arguments"),
        ({"max_stops": 1}, "wrong_arguments"),
        ({"max_stops": None}, "wrong_arguments"),
        ({"cabin": "business"}, "wrong_arguments"),
        ({"latest_arrival": "23:59"}, "wrong_arguments"),
        ({"date": "14 May 2027"}, "wrong_arguments"),
        ({"origin": "Oslo"}, "wrong_arguments"),
        ({"origin": "VIE", "destination": "OSL"}, "wrong_arguments"),
    ],
)
def test_optional_parameters(changes: dict[str, object], expected: str) -> None:
    assert error_class("tool-optional-parameters", calls("search_flights", **FLIGHT | changes)) == expected


def test_an_optional_parameter_that_was_asked_for_may_not_be_left_out() -> None:
    lacking = {name: value for name, value in FLIGHT.items() if name != "max_stops"}
    answer = score_answers(found("tool-optional-parameters"), [calls("search_flights", **lacking)])
    assert (answer.error_class, answer.why) == ("wrong_arguments", "max_stops is missing (structured)")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("210", ""),
        ("That is **210 minutes**.", ""),
        ("3.5 hours x 60 = 210 minutes", ""),
        ("It takes 180 minutes.", "wrong_answer"),
        ("That depends on the train.", "wrong_answer"),
        ('{"name": "find_trains", "arguments": {}}', "needless_call"),
        ('<tool_call>{"name": "calculate", "arguments": {"a": 3.5}}</tool_call>210', "needless_call"),
    ],
)
def test_no_call(text: str, expected: str) -> None:
    assert score("tool-no-call", text).error_class == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"time": "15:30:00"}, ""),
        ({"event_id": "EV-2093"}, ""),
        ({"time": "03:30"}, "wrong_arguments"),
        ({"time": "3:30 pm"}, "wrong_arguments"),
        ({"date": "2027-11-03"}, "wrong_arguments"),
        ({"event_id": "2093"}, "wrong_arguments"),
    ],
)
def test_the_right_tool_of_several(changes: dict[str, object], expected: str) -> None:
    arguments: dict[str, object] = {"event_id": "ev-2093", "date": "2027-03-11", "time": "15:30"}
    assert error_class("tool-choice", calls("move_event", **arguments | changes)) == expected


def test_to_cancel_and_create_is_not_to_move() -> None:
    answer = also(calls("cancel_event", event_id="ev-2093"), "create_event", title="Dentist", date="2027-03-11")
    assert error_class("tool-choice", answer) == "wrong_tool"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"labels": ["payment", "bug"], "builds": [415.0, 412]}, ""),
        ({"title": "checkout fails on safari"}, ""),
        ({"labels": ["bug", "bug"]}, "wrong_arguments"),
        ({"labels": "bug, payment"}, "wrong_arguments"),
        ({"labels": ["Bug", "payment"]}, "wrong_arguments"),  # not a value of the enum
        ({"priority": "Critical"}, "wrong_arguments"),
        ({"priority": "high"}, "wrong_arguments"),
        ({"builds": ["412", "415"]}, "wrong_arguments"),
        ({"builds": [412]}, "wrong_arguments"),
        ({"assignees": ["mira", "tomasz", "anna"]}, "wrong_arguments"),
        ({"title": "Bug"}, "wrong_arguments"),
    ],
)
def test_arrays_and_enums(changes: dict[str, object], expected: str) -> None:
    assert error_class("tool-arrays-enums", calls("open_ticket", **TICKET | changes)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It should arrive by **June 18, 2027**; you still owe 24.50 EUR.", ""),
        ("Delivery: 2027-06-18, open: 24.5", ""),
        ("Expected on 18/06/2027, and you have to pay €24.50.", ""),
        ("It arrives on 18 June; the total is 84.50.", "wrong_answer"),
        ("It arrives in June; 24.50 are open.", "wrong_answer"),
        ("Your order is on its way.", "wrong_answer"),
    ],
)
def test_the_tools_answer_is_used(text: str, expected: str) -> None:
    assert error_class("tool-uses-answer", LOOKED_UP, text) == expected
    assert error_class("tool-uses-answer", calls("get_order", order_number=70412), text) == expected
    in_text = '<tool_call>{"name": "get_order", "arguments": {"order_number": "70412"}}</tool_call>'
    assert error_class("tool-uses-answer", in_text, text) == expected


def test_an_answer_without_the_tool_is_a_guess() -> None:
    assert error_class("tool-uses-answer", "It arrives on 18 June 2027, and 24.50 are open.") == "no_call"


def test_another_order_is_not_the_one() -> None:
    guess = "It arrives on 18 June 2027, and 24.50 are open."
    assert error_class("tool-uses-answer", calls("get_order", order_number="7041"), guess) == "wrong_arguments"


def test_asking_again_and_again_ends() -> None:
    assert error_class("tool-uses-answer", LOOKED_UP) == "too_many_steps"


def test_the_tools_answer_reaches_the_model_with_the_calls_id() -> None:
    said = lead(found("tool-uses-answer"), [LOOKED_UP, "Done."])
    *_, spoken, answered = said.requests[-1].messages
    assert (spoken.role, answered.role) == ("assistant", "tool")
    assert spoken.tool_calls[0].id == answered.tool_call_id == "call00000"
    assert json.loads(answered.content)["expected_delivery"] == "2027-06-18"


def test_a_call_in_the_text_is_answered_in_the_same_way() -> None:
    text = 'Wait.<function=get_order>{"order_number": "70412"}</function>'
    structured, in_text = (
        lead(found("tool-uses-answer"), [answer, "Done."]).requests[-1].messages for answer in (LOOKED_UP, text)
    )
    assert structured[-1] == in_text[-1]
    assert in_text[-2].content == "Wait."
    assert in_text[-2].tool_calls[0].arguments == structured[-2].tool_calls[0].arguments
