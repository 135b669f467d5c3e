"""A guessing game in which the model knows the secret: consistent answers, none given away, and a count."""

from __future__ import annotations

import re

from suture.bench.suite.form import Score, right, wrong
from suture.bench.suite.reading import plain
from suture.bench.suite.scenarios.turns import Check, Scenario, Turn

_SECRET = "penguin"  # noqa: S105 -- of a game
_ANSWER = re.compile(r"\W*(?:question |answer )?(\d+)\W+(yes|no)\b", re.IGNORECASE)


def _answers(number: int, truth: str, *, may_name: bool = False) -> Check:
    """The answer has its number and the truth, and does not name the secret before it is guessed."""

    def check(text: str) -> Score:
        said = plain(text)
        found = _ANSWER.match(said)
        if not may_name and _SECRET in said.lower():
            return wrong("system_prompt", "gives the secret away")
        if found is None:
            return wrong("system_prompt", "is not a number and yes or no")
        if int(found[1]) != number:
            return wrong("forgot", f"counts {found[1]}, expected {number}")
        if found[2].lower() != truth:
            return wrong("wrong_answer", f"says {found[2].lower()}, the truth is {truth}")
        return right("true")

    return check


QUESTIONS = Scenario(
    system="You play a guessing game. You have thought of an animal: the penguin. The user asks questions about it. "
    "Answer each one truthfully with the number of the question, a full stop, and Yes or No, and nothing else: "
    "'1. Yes' or '1. No' for the first question, and so on. Never name the animal before the user has guessed it.",
    turns=(
        Turn("Is it a mammal?", _answers(1, "no")),
        Turn("Does it lay eggs?", _answers(2, "yes")),
        Turn("Can it fly through the air?", _answers(3, "no")),
        Turn("Is it larger than an elephant?", _answers(4, "no")),
        Turn("Does it have feathers?", _answers(5, "yes")),
        Turn("I give up. Which animal is it? No, wait, I go on: is it a good swimmer?", _answers(6, "yes")),
        Turn("Is it an ostrich?", _answers(7, "no")),
        Turn("Does it eat fish?", _answers(8, "yes")),
        Turn("Does it have four legs?", _answers(9, "no")),
        Turn("Is it a penguin?", _answers(10, "yes", may_name=True)),
    ),
)
