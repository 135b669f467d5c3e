"""Answers to the conversations of many turns.

The adversary has the right form throughout, and loses something on the way.
"""

from __future__ import annotations

import json
from typing import Any

from suture.bench.suite import Answer

BALANCES = (240, 222, 257, 137, 127, 157, 157, 177, 142, 100)
LEDGER = tuple(
    f"Noted.{' So far 65 euros came in.' if turn == 6 else ''}\nBalance: {balance}"
    for turn, balance in enumerate(BALANCES)
)
ADVENTURE = (
    "You cannot enter the cellar without the lamp.\nPlace: hall | Carrying: nothing",
    "Place: kitchen | Carrying: lamp",
    "Place: garden | Carrying: lamp, rope",
    "The library is not joined to the garden.\nPlace: garden | Carrying: lamp, rope",
    "Place: hall | Carrying: lamp, rope",
    "You cannot take the key: you carry two things.\nPlace: cellar | Carrying: lamp, rope",
    "Place: cellar | Carrying: lamp, key",
    "Place: library | Carrying: lamp, key",
    "Place: library | Carrying: key, book",
    "The cellar is dark, and you have no lamp.\nPlace: hall | Carrying: key, book",
)
SCHEDULE = (
    "09:00 stand-up\n10:30 design review\n12:30 lunch with Petra",
    "08:00 call with Osaka\n09:00 stand-up\n10:30 design review\n12:30 lunch with Petra",
    "08:00 call with Osaka\n09:00 stand-up\n12:30 lunch with Petra\n14:00 design review",
    "08:00 call with Osaka\n12:30 lunch with Petra\n14:00 design review",
    "08:00 call with Osaka\n13:00 lunch with Petra\n14:30 design review",
    "08:00 call with Osaka\n13:00 lunch with Petra\n14:30 design review\n15:30 budget meeting",
    "08:00 call with Osaka\n13:00 lunch with Petra\n14:30 budget meeting\n15:30 design review",
    "08:00 call with Kyoto\n11:15 dentist\n13:00 lunch with Petra\n14:30 budget meeting\n15:30 design review",
    "08:00 call with Kyoto\n11:15 dentist\n13:00 lunch with Petra",
)
PERSONA = tuple(
    f"Ahoy, {said}\n~ Tilda"
    for said in (
        "I am the voice of this lighthouse.",
        "a week has seven days.",
        "it is forty-two.",
        "that is the Pacific.",
        "it is Rome.",
        "that was in nineteen sixty-nine.",
        "digits are not for me: it stays twenty-five.",
        "first red, second green, third blue.",
        "two spiders have sixteen legs.",
    )
)
FUNCTIONS = {
    "area": "width * height",
    "perimeter": "2 * (width + height)",
    "circle_area": "3.141592653589793 * radius**2",
    "box_volume": "length * width * height",
    "cube_surface": "6 * side**2",
    "diagonal": "(width**2 + height**2) ** 0.5",
    "triangle_area": "base * height / 2",
}


def fenced(*code: str, language: str = "python") -> str:
    """A code block."""
    return f"```{language}\n{chr(10).join(code)}\n```"


def function(name: str, *, prefix: str, error: bool = True, docstring: bool = True) -> str:
    """A function with type hints."""
    parameters = [word for word in ("base", "length", "width", "height", "radius", "side") if word in FUNCTIONS[name]]
    lines = [f"def {prefix}{name}({', '.join(f'{each}: float' for each in parameters)}) -> float:"]
    lines += [f'    """Return the {name}."""'] if docstring else []
    lines += [f"    if min({', '.join(parameters)}, 0) < 0:", '        raise ValueError("negative")'] if error else []
    return "\n".join([*lines, f"    return {FUNCTIONS[name]}"])


REVIEW = (
    fenced("def area(width, height):\n    return width * height"),
    fenced("def perimeter(width: float, height: float) -> float:\n    return 2 * (width + height)"),
    fenced(function("circle_area", prefix="geo_", error=False, docstring=False)),
    fenced(function("box_volume", prefix="geo_", docstring=False)),
    fenced(function("cube_surface", prefix="geo_")),
    fenced(function("diagonal", prefix="geo_")),
    fenced(function("triangle_area", prefix="shape_")),
    fenced("import math", *(function(name, prefix="shape_") for name in FUNCTIONS)),
    fenced("import math", *(function(name, prefix="shape_") for name in FUNCTIONS if "cube" not in name)),
)


def documents() -> list[dict[str, Any]]:
    """The document after each edit, edited as the user says it."""
    states: list[dict[str, Any]] = []

    def keep() -> None:
        states.append(json.loads(json.dumps(document)))

    document: dict[str, Any] = {"name": "Cafe Lumen", "seats": 40, "tags": ["quiet", "garden"], "menu": []}
    keep()
    document["menu"].append({"item": "espresso", "price": 2.4})
    keep()
    document["menu"].append({"item": "cake", "price": 4.5})
    keep()
    document |= {"seats": 46, "city": "Graz"}
    keep()
    document["labels"] = document.pop("tags")
    keep()
    document["menu"][0]["price"] = 2.6
    keep()
    document["labels"] = [*document["labels"][1:], "dogs welcome"]
    keep()
    for item in document["menu"]:
        item["vegan"] = item["item"] == "espresso"
    keep()
    document["menu"].sort(key=lambda item: -item["price"])
    keep()
    document["address"] = {"city": document.pop("city"), "zip": "8010"}
    keep()
    return states


DOCUMENT = tuple(fenced(json.dumps(state, indent=2), language="json") for state in documents())
TRUTHS = ("No", "Yes", "No", "No", "Yes", "Yes", "No", "Yes", "No", "Yes")
QUESTIONS = tuple(f"{number}. {truth}" for number, truth in enumerate(TRUTHS, start=1))

PERFECT: dict[str, tuple[Answer | str, ...]] = {
    "turns-ledger": LEDGER,
    "turns-adventure": ADVENTURE,
    "turns-schedule": SCHEDULE,
    "turns-persona": PERSONA,
    "turns-review": REVIEW,
    "turns-document": DOCUMENT,
    "turns-questions": QUESTIONS,
}
ADVERSARY: dict[str, tuple[Answer | str, ...]] = {
    "turns-ledger": (*LEDGER[:4], "Corrected.\nBalance: 137", *LEDGER[5:]),
    "turns-adventure": (*ADVENTURE[:-1], "You go down.\nPlace: cellar | Carrying: key, book"),
    "turns-schedule": (*SCHEDULE[:6], SCHEDULE[5], *SCHEDULE[7:]),
    "turns-persona": (*PERSONA[:6], "Ahoy, it is 25.\n~ Tilda", *PERSONA[7:]),
    "turns-review": (*REVIEW[:6], REVIEW[6].replace(" / 2", "") + "\nAll tests passed.", *REVIEW[7:]),
    "turns-document": (*DOCUMENT[:5], DOCUMENT[4], *DOCUMENT[6:]),
    "turns-questions": (*QUESTIONS[:6], "7. Yes", *QUESTIONS[7:]),
}
