"""A text adventure whose referee is the model: a map, things to carry, and rules that forbid what is asked for."""

from __future__ import annotations

import re

from suture.bench.suite.form import Score, right, wrong
from suture.bench.suite.reading import plain
from suture.bench.suite.scenarios.turns import Check, Scenario, Turn

_THINGS = re.compile(r"\b(?:lamp|rope|book|key)\b")
_LINE = re.compile(r"place:\s*(?:the )?(\w+)\s*[|,;]?\s*carrying:([^\n]*)", re.IGNORECASE)


def _at(place: str, *things: str) -> Check:
    """The last line of state has this place and just these things."""

    def check(text: str) -> Score:
        lines = _LINE.findall(plain(text))
        if not lines:
            return wrong("system_prompt", "there is no line with place and things")
        there, carried = lines[-1][0].lower(), sorted(_THINGS.findall(lines[-1][1].lower()))
        if (there, carried) != (place, sorted(things)):
            wanted = f"{place} with {', '.join(things) or 'nothing'}"
            return wrong("forgot", f"in the {there} with {', '.join(carried) or 'nothing'}, expected {wanted}")
        return right("state right")

    return check


ADVENTURE = Scenario(
    system="""\
You are the referee of a text adventure. The hall is joined to the kitchen, the library and the cellar. The
kitchen is also joined to the garden. Nothing else is joined. At the start the lamp is in the kitchen, the rope
in the garden, the book in the library and the key in the cellar. The player starts in the hall and carries
nothing.
Rules: 1. The player can only go to a place that is joined to where they are. 2. They can carry two things at
most. 3. They can enter the cellar only while they carry the lamp. 4. They can only take things that are where
they are; what is dropped stays there. If a command has several parts, do them one after the other. Leave out
every part that breaks a rule, and say so. Be brief. End every reply with a line of this form, 'nothing' if no
thing is carried:
Place: hall | Carrying: lamp, rope""",
    turns=(
        Turn("Go to the cellar.", _at("hall")),
        Turn("Go to the kitchen and take the lamp.", _at("kitchen", "lamp")),
        Turn("Go to the garden and take the rope.", _at("garden", "lamp", "rope")),
        Turn("Go to the library.", _at("garden", "lamp", "rope")),
        Turn("Go back to the kitchen, and from there to the hall.", _at("hall", "lamp", "rope")),
        Turn("Go to the cellar and take the key.", _at("cellar", "lamp", "rope")),
        Turn("Drop the rope and take the key.", _at("cellar", "lamp", "key")),
        Turn("Go to the hall, and from there to the library.", _at("library", "lamp", "key")),
        Turn("Drop the lamp and take the book.", _at("library", "book", "key")),
        Turn("Go to the hall, and from there to the cellar.", _at("hall", "book", "key")),
    ),
)
