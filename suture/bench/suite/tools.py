"""The category `tools`: whether to call a tool, which one, with what, and what to make of its answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence

from pydantic import JsonValue

from suture.bench.suite.arguments import Fits, exactly, in_any_order, score_only_call, worded
from suture.bench.suite.calls import Arguments, forms, read_calls
from suture.bench.suite.form import Message, Request, Score, Test, Tool, Transcript, asks, right, wrong
from suture.bench.suite.reading import numbers, plain
from suture.bench.suite.worlds import World, problem, replay, string, tool

_INTEGER: dict[str, JsonValue] = {"type": "integer"}


def _opening(question: str) -> tuple[Message, ...]:
    system = "You are a helpful assistant with access to tools. Call one when the request needs it."
    return (Message("system", system), Message("user", question))


def _one_call(wanted: Tool, expected: Mapping[str, Fits], others: Sequence[Tool] = ()) -> Callable[..., Score]:
    """Return the scorer of tests whose answer is one call."""
    tools = (wanted, *others)

    def score(transcript: Transcript) -> Score:
        """Score the one call that is wanted."""
        calls = read_calls(transcript.answers[0], tools).calls
        if not calls and transcript.cut_off:
            return wrong("length", f"cut off before {wanted.name} was called")
        return score_only_call(calls, wanted, expected)

    return score


# -- one call -------------------------------------------------------------------------------------------------

_TRACK = tool(
    "track_parcel",
    "Look up where a parcel is and when it will be delivered.",
    {"tracking_number": string("The number on the receipt, letters and digits without spaces.")},
)
_TRACKED = {"tracking_number": worded("RB5521883047NO")}


# -- optional parameters --------------------------------------------------------------------------------------

_FLIGHTS = tool(
    "search_flights",
    "Search scheduled flights for one day.",
    {
        "origin": string("IATA code of the airport of departure, such as ARN."),
        "destination": string("IATA code of the airport of arrival."),
        "date": string("Day of departure, YYYY-MM-DD."),
    },
    {
        "max_stops": {
            **_INTEGER,
            "description": "Most stops on the way; 0 for direct flights. Any number if absent.",
        },
        "cabin": {**string("Class.", ["economy", "premium", "business"]), "default": "economy"},
        "latest_arrival": string("Arrival no later than this, HH:MM. No limit if absent."),
        "airline": string("IATA code of the only airline to search. All airlines if absent."),
    },
)
_FLOWN = {
    "origin": worded("OSL"),
    "destination": worded("VIE"),
    "date": exactly("2027-05-14"),
    "max_stops": exactly(0),
}


# -- no call when none is needed ------------------------------------------------------------------------------

_TRAINS = tool(
    "find_trains",
    "Find train connections.",
    {"origin": string("Station of departure."), "destination": string("Station of arrival.")},
    {"time": string("Time of departure, HH:MM; now if absent.")},
)
_REMIND = tool(
    "set_reminder",
    "Remind the user of something later.",
    {"minutes": {**_INTEGER, "description": "Minutes from now."}, "text": string("What to remind of.")},
)
_MINUTES = 210


def score_no_call(transcript: Transcript) -> Score:
    """No tool is called, and the answer holds the number of minutes."""
    said = read_calls(transcript.answers[0], (_TRAINS, _REMIND))
    if said.calls:
        return wrong("needless_call", f"called {said.calls[0].name} ({forms(said.calls)})")
    if _MINUTES in numbers(said.rest):
        return right(f"no call, and {_MINUTES} minutes")
    return wrong("length" if transcript.cut_off else "wrong_answer", f"no call, but not {_MINUTES} minutes either")


# -- picks the right tool of several --------------------------------------------------------------------------

_EVENT: dict[str, JsonValue] = {"event_id": string("Id of the event, such as ev-1007.")}
_DAY: dict[str, JsonValue] = {"date": string("Day, YYYY-MM-DD.")}
_WHEN: dict[str, JsonValue] = {**_DAY, "time": string("Start, HH:MM, 24 hours.")}
_MOVE = tool("move_event", "Give an event of the calendar another date and time.", {**_EVENT, **_WHEN})
_CALENDAR = (
    tool("list_events", "List the events of a day.", _DAY),
    tool("create_event", "Put a new event into the calendar.", {"title": string("Title."), **_WHEN}),
    tool("cancel_event", "Remove an event from the calendar.", _EVENT),
    tool("rename_event", "Give an event another title.", {**_EVENT, "title": string("New title.")}),
    tool("send_email", "Send an email.", {"to": string("Address."), "body": string("Text.")}),
)
_MOVED = {
    "event_id": worded("ev-2093"),
    "date": exactly("2027-03-11"),
    "time": worded(r"15:30(?::00)?"),
}


# -- arrays and enums -----------------------------------------------------------------------------------------

_LABELS = ["bug", "docs", "feature", "payment", "security"]
_TICKET = tool(
    "open_ticket",
    "Open a ticket in the issue tracker.",
    {
        "title": string("Title, as short as a headline."),
        "priority": string("How soon it must be dealt with.", ["low", "normal", "high", "critical"]),
        "labels": {"type": "array", "items": string("Label.", _LABELS), "description": "All labels that apply."},
        "assignees": {"type": "array", "items": string("Login."), "description": "Who is to work on it."},
        "builds": {"type": "array", "items": _INTEGER, "description": "Numbers of the builds that show it."},
    },
)
_OPENED = {
    "title": worded(r"['\"]?checkout fails (?:on|in) safari['\".]*"),
    "priority": exactly("critical"),
    "labels": in_any_order("bug", "payment"),
    "assignees": in_any_order("mira", "tomasz"),
    "builds": in_any_order(412, 415),
}


# -- uses the tool's answer -----------------------------------------------------------------------------------

_ORDER = tool(
    "get_order",
    "Get the state of an order in the shop.",
    {"order_number": string("Number of the order, digits only.")},
)
_FOUND: dict[str, JsonValue] = {
    "order_number": "70412",
    "placed": "2027-06-02",
    "status": "in transit",
    "carrier": "Norpost",
    "expected_delivery": "2027-06-18",
    "invoice": {"total": 84.50, "paid": 60.00, "open": 24.50, "currency": "EUR"},
}
_DELIVERY = re.compile(
    r"2027-06-18|\b18(?:th|\.)?(?: of)? June\b|\bJune 18\b|\bJune 18th\b|\b18[./]0?6\b|\b0?6/18\b", re.IGNORECASE
)
_OPEN = 24.5


def _shop(calls: int, _name: str, arguments: Arguments) -> tuple[int, str]:
    number = str(arguments["order_number"]).strip().lstrip("#")
    if number != _FOUND["order_number"]:
        return calls, problem(f"there is no order {number}")
    return calls + 1, json.dumps(_FOUND)


_SHOP = World(
    opening=_opening("When will my order 70412 arrive, and how much do I still have to pay for it?"),
    tools=(_ORDER,),
    start=0,
    act=_shop,
    steps=4,
)


def score_uses_answer(transcript: Transcript) -> Score:
    """The order was looked up, and the last answer holds the day of delivery and the open sum."""
    history = replay(_SHOP, transcript)
    if not history.calls:
        return wrong("no_call", "answered without looking the order up")
    if not history.state:
        return wrong("wrong_arguments", f"did not ask for the order: {history.calls[0].arguments[:200]}")
    if not history.ended:
        return wrong("too_many_steps", f"no answer within {_SHOP.steps} steps")
    said = plain(history.last)
    lacking = [
        name
        for name, there in (("the 18th of June", _DELIVERY.search(said)), ("24.50", _OPEN in numbers(said)))
        if not there
    ]
    if lacking:
        return wrong("length" if transcript.cut_off else "wrong_answer", f"the answer lacks {' and '.join(lacking)}")
    return right(f"gives the day and the sum that the tool gave ({forms(history.calls)})")


TOOLS: tuple[Test, ...] = (
    Test(
        id="tool-one-call",
        category="tools",
        title="one call",
        talk=asks(
            Request(_opening("Where is my parcel? The receipt says RB5521883047NO."), (_TRACK,)),
        ),
        score=_one_call(_TRACK, _TRACKED),
        needs_tools=True,
    ),
    Test(
        id="tool-optional-parameters",
        category="tools",
        title="optional parameters",
        talk=asks(
            Request(
                _opening(
                    "Find me flights from Oslo (OSL) to Vienna (VIE) on 14 May 2027. Direct flights only, please."
                ),
                (_FLIGHTS,),
            ),
        ),
        score=_one_call(_FLIGHTS, _FLOWN),
        needs_tools=True,
    ),
    Test(
        id="tool-no-call",
        category="tools",
        title="no call when none is needed",
        talk=asks(
            Request(
                _opening("A train ride takes three and a half hours. How many minutes is that?"),
                (_TRAINS, _REMIND),
            ),
        ),
        score=score_no_call,
        needs_tools=True,
    ),
    Test(
        id="tool-choice",
        category="tools",
        title="picks the right tool of several",
        talk=asks(
            Request(
                _opening(
                    "My dentist appointment in the calendar, event ev-2093, was put off: "
                    "it is now on 11 March 2027 at half past three in the afternoon. Please change it."
                ),
                (*_CALENDAR[:3], _MOVE, *_CALENDAR[3:]),
            ),
        ),
        score=_one_call(_MOVE, _MOVED, _CALENDAR),
        needs_tools=True,
    ),
    Test(
        id="tool-arrays-enums",
        category="tools",
        title="arrays and enums",
        talk=asks(
            Request(
                _opening(
                    'Open a ticket with the title "Checkout fails on Safari". It is critical. '
                    "It is a bug, and it concerns payment. Builds 412 and 415 show it. "
                    "Assign it to mira and tomasz."
                ),
                (_TICKET,),
            ),
        ),
        score=_one_call(_TICKET, _OPENED),
        needs_tools=True,
    ),
    Test(
        id="tool-uses-answer",
        category="tools",
        title="uses the tool's answer",
        talk=_SHOP.talk,
        score=score_uses_answer,
        needs_tools=True,
    ),
)
