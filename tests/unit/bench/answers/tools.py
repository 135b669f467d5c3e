"""Answers to the tests of the category `tools`."""

from __future__ import annotations

from suture.bench.suite import Answer
from tests.unit.bench.answers.calling import calls

FLIGHT = {"origin": "OSL", "destination": "VIE", "date": "2027-05-14", "max_stops": 0}
TICKET = {
    "title": "Checkout fails on Safari",
    "priority": "critical",
    "labels": ["bug", "payment"],
    "assignees": ["mira", "tomasz"],
    "builds": [412, 415],
}

PERFECT: dict[str, tuple[Answer | str, ...]] = {
    "tool-one-call": (calls("track_parcel", tracking_number="RB5521883047NO"),),
    "tool-optional-parameters": (calls("search_flights", **FLIGHT),),
    "tool-no-call": ("Three and a half hours are 3.5 * 60 = 210 minutes.",),
    "tool-choice": (calls("move_event", event_id="ev-2093", date="2027-03-11", time="15:30"),),
    "tool-arrays-enums": (calls("open_ticket", **TICKET),),
    "tool-uses-answer": (
        calls("get_order", order_number="70412"),
        "Your order arrives on 18 June 2027, and 24.50 EUR are still open.",
    ),
}
ADVERSARY: dict[str, tuple[Answer | str, ...]] = {
    "tool-one-call": (calls("track_parcel", tracking_number="RB5521883074NO"),),
    "tool-optional-parameters": (calls("search_flights", **FLIGHT, airline="OS"),),
    "tool-no-call": (calls("find_trains", origin="Oslo", destination="Bergen"),),
    "tool-choice": (calls("create_event", title="Dentist", date="2027-03-11", time="15:30"),),
    "tool-arrays-enums": (calls("open_ticket", **TICKET | {"labels": ["bug", "payment", "security"]}),),
    "tool-uses-answer": (
        calls("get_order", order_number="70412"),
        "Your order arrives on 18 July 2027, and 84.50 EUR are still open.",
    ),
}
