"""A day's meetings: added, moved, swapped and cancelled, and the whole plan repeated after each change."""

from __future__ import annotations

import re

from suture.bench.suite.form import Score, right, wrong
from suture.bench.suite.reading import plain
from suture.bench.suite.scenarios.turns import Check, Scenario, Turn

_LINE = re.compile(r"^\W*(?:\d{1,2}[.)] )?\W*(\d{1,2}:\d\d)\b(.*)", re.MULTILINE)


def _plan(*meetings: str) -> Check:
    """The lines that begin with a time are just these meetings, in this order."""
    expected = [(meeting[:5], meeting[6:]) for meeting in meetings]

    def check(text: str) -> Score:
        found = [(time.rjust(5, "0"), name.lower()) for time, name in _LINE.findall(plain(text))]
        if len(found) != len(expected):
            return wrong("forgot", f"the plan has {len(found)} meetings, expected {len(expected)}")
        for (time, name), (right_time, word) in zip(found, expected, strict=True):
            if time != right_time or word not in name:
                return wrong("forgot", f"{time}{name[:40]!r} stands where {right_time} {word} should")
        return right("plan right")

    return check


SCHEDULE = Scenario(
    system="You keep the plan of one day. After every message, reply with the whole plan as it is then: one line per "
    "meeting, earliest first, each line in the form 'HH:MM name' with the time at which it starts.",
    turns=(
        Turn(
            "Add the stand-up at 09:00, the design review at 10:30, and lunch with Petra at 12:30.",
            _plan("09:00 stand", "10:30 design", "12:30 petra"),
        ),
        Turn(
            "Add a call with Osaka at 08:00.",
            _plan("08:00 osaka", "09:00 stand", "10:30 design", "12:30 petra"),
        ),
        Turn(
            "Move the design review to 14:00.",
            _plan("08:00 osaka", "09:00 stand", "12:30 petra", "14:00 design"),
        ),
        Turn(
            "Cancel the stand-up.",
            _plan("08:00 osaka", "12:30 petra", "14:00 design"),
        ),
        Turn(
            "Everything that starts after noon begins half an hour later than planned.",
            _plan("08:00 osaka", "13:00 petra", "14:30 design"),
        ),
        Turn(
            "Add a budget meeting that starts one hour after the design review starts.",
            _plan("08:00 osaka", "13:00 petra", "14:30 design", "15:30 budget"),
        ),
        Turn(
            "Swap the times of the design review and the budget meeting.",
            _plan("08:00 osaka", "13:00 petra", "14:30 budget", "15:30 design"),
        ),
        Turn(
            "Add the dentist at 11:15, and rename the call with Osaka to call with Kyoto.",
            _plan("08:00 kyoto", "11:15 dentist", "13:00 petra", "14:30 budget", "15:30 design"),
        ),
        Turn(
            "Cancel the two meetings that start last.",
            _plan("08:00 kyoto", "11:15 dentist", "13:00 petra"),
        ),
    ),
)
