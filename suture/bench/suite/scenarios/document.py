"""A JSON document that is edited step by step, and given back whole after each."""

from __future__ import annotations

from pydantic import JsonValue

from suture.bench.suite.form import Score, right, wrong
from suture.bench.suite.jsontext import json_in, same
from suture.bench.suite.scenarios.turns import Check, Scenario, Turn

Document = dict[str, JsonValue]


def _is(expected: Document) -> Check:
    """The JSON in the answer is this document, whatever the order of its keys."""

    def check(text: str) -> Score:
        found = json_in(text)
        if found is None:
            return wrong("invalid_json", "there is no JSON")
        if same(found, expected):
            return right("document right")
        if not isinstance(found, dict):
            return wrong("schema", "the JSON is no object")
        differ = [
            key
            for key in {**expected, **found}
            if key not in found or key not in expected or not same(found[key], expected[key])
        ]
        return wrong("forgot", f"differs in {', '.join(differ)}")

    return check


_EMPTY: Document = {"name": "Cafe Lumen", "seats": 40, "tags": ["quiet", "garden"], "menu": []}
_ESPRESSO: Document = {"item": "espresso", "price": 2.4}
_CAKE: Document = {"item": "cake", "price": 4.5}
_DEARER: Document = {"item": "espresso", "price": 2.6}
_VEGAN: list[JsonValue] = [{**_DEARER, "vegan": True}, {**_CAKE, "vegan": False}]
_GROWN: Document = {"name": "Cafe Lumen", "seats": 46, "city": "Graz"}
_LABELS: list[JsonValue] = ["garden", "dogs welcome"]

DOCUMENT = Scenario(
    system=(
        "You maintain a JSON document. After every message, reply with the whole document as it is then, as"
        " JSON in one code block. Change nothing but what you are told to."
    ),
    turns=(
        Turn(
            'Create the document: name is "Cafe Lumen", seats is 40, tags is a list of "quiet" and "garden", '
            "and menu is an empty list.",
            _is(_EMPTY),
        ),
        Turn(
            'Add an object to the menu: its item is "espresso" and its price is 2.4.',
            _is({**_EMPTY, "menu": [_ESPRESSO]}),
        ),
        Turn('Add "cake" to the menu, for 4.5.', _is({**_EMPTY, "menu": [_ESPRESSO, _CAKE]})),
        Turn(
            'There are 46 seats now. Also add a key city with the value "Graz".',
            _is({**_GROWN, "tags": ["quiet", "garden"], "menu": [_ESPRESSO, _CAKE]}),
        ),
        Turn(
            "Rename the key tags to labels.",
            _is({**_GROWN, "labels": ["quiet", "garden"], "menu": [_ESPRESSO, _CAKE]}),
        ),
        Turn(
            "The espresso costs 2.6 from now on.",
            _is({**_GROWN, "labels": ["quiet", "garden"], "menu": [_DEARER, _CAKE]}),
        ),
        Turn(
            'Remove "quiet" from the labels and add "dogs welcome" at their end.',
            _is({**_GROWN, "labels": _LABELS, "menu": [_DEARER, _CAKE]}),
        ),
        Turn(
            "Give every object of the menu a key vegan: true for the espresso, false for the cake.",
            _is({**_GROWN, "labels": _LABELS, "menu": _VEGAN}),
        ),
        Turn(
            "Sort the menu by price, the highest first.",
            _is({**_GROWN, "labels": _LABELS, "menu": _VEGAN[::-1]}),
        ),
        Turn(
            'Replace the key city by a key address, an object with the keys city ("Graz") and zip ("8010").',
            _is(
                {
                    "name": "Cafe Lumen",
                    "seats": 46,
                    "labels": _LABELS,
                    "menu": _VEGAN[::-1],
                    "address": {"city": "Graz", "zip": "8010"},
                }
            ),
        ),
    ),
)
