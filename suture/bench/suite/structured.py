"""The category `structured`: facts of a text, brought into a form that a program can read."""

from __future__ import annotations

import json
import re
from typing import Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from suture.bench.suite.form import Message, Request, Score, Test, Transcript, asks, right, wrong
from suture.bench.suite.reading import fences, numbers, plain

# -- valid JSON for a schema ----------------------------------------------------------------------------------


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Item(_Part):
    product: str
    quantity: int = Field(ge=1)
    price: float = Field(ge=0)


class _Order(_Part):
    customer: str
    express: bool
    payment: Literal["card", "invoice", "cash"]
    items: list[_Item] = Field(min_length=1)
    note: str | None


_ORDER = {
    "customer": "Ines Moreau",
    "express": False,
    "payment": "invoice",
    "items": [
        {"product": "desk lamp", "quantity": 3, "price": 19.5},
        {"product": "chair", "quantity": 12, "price": 80},
    ],
    "note": None,
}

_ORDER_QUESTION = f"""\
Ines Moreau orders 3 desk lamps at 19.50 each and a dozen chairs at 80 each. She pays by invoice, does not need \
express delivery, and left no note.

Write this order as a JSON object that is valid for this JSON schema, with the products in the singular and in the \
order of the text. Reply with the JSON only.

{json.dumps(_Order.model_json_schema(), indent=1)}"""


def score_json(transcript: Transcript) -> Score:
    """The answer is one JSON object, be it in a code fence, that has the form and the facts."""
    found = _json_in(transcript)
    if isinstance(found, Score):
        return found
    try:
        order = _Order.model_validate_json(found).model_dump()
    except ValidationError as error:
        first = error.errors()[0]
        return wrong("schema", f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}")
    facts = _folded(order)
    if facts != _folded(_ORDER):
        differing = [key for key, value in _ORDER.items() if _folded(order[key]) != _folded(value)]
        return wrong("wrong_answer", f"other facts than in the text: {', '.join(differing)}")
    return right("valid, with the facts of the text")


def _json_in(transcript: Transcript) -> str | Score:
    """Return the JSON of an answer that is nothing else; the question does not forbid a code fence around it."""
    text = transcript.text
    blocks = fences(text)
    if _is_json(text):
        return text
    if len(blocks) == 1 and blocks[0].closed and _is_json(blocks[0].code) and not _outside(text):
        return blocks[0].code
    if transcript.cut_off:
        return wrong("length", "cut off before the JSON was complete")
    inner = (*(block.code for block in blocks), text[text.find("{") : text.rfind("}") + 1])
    if any(map(_is_json, inner)):
        return wrong("extra_text", "JSON, but not alone")
    return wrong("invalid_json", "the answer is no JSON")


def _outside(text: str) -> str:
    """Return what stands around the only code block."""
    lines = text.strip().splitlines()
    return "" if re.match(r"`{3}|~{3}", lines[0]) and re.search(r"(?:`{3}|~{3})$", lines[-1]) else text


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is Python's, not JSON's")


def _folded(value: object) -> object:
    """Return a value in which text does not differ by case."""
    return json.loads(json.dumps(value).lower())


# -- a markdown table -----------------------------------------------------------------------------------------

_CITIES = (("Porto", 1500, "rain"), ("Oslo", 640, "snow"), ("Cairo", 320, "sun"), ("Quito", 85, "fog"))
"""From most to fewest visitors."""

_TABLE_QUESTION = """\
Oslo had 640 visitors and snow, Quito 85 visitors and fog, Porto 1500 visitors and rain, Cairo 320 visitors and sun.

Write this as a Markdown table with the columns City, Visitors and Weather, one row for each city, sorted from most \
to fewest visitors."""

_DELIMITERS = re.compile(r":?-+:?")


def score_table(transcript: Transcript) -> Score:
    """The answer has one table in Markdown, with these columns and rows; what stands around it does not count."""
    tables = _tables(transcript.text)
    if not tables:
        return wrong("length" if transcript.cut_off else "no_table", "there is no table in Markdown")
    head, *rows = tables[-1]
    if [cell.lower() for cell in head] != ["city", "visitors", "weather"]:
        return wrong("wrong_answer", f"has the columns {', '.join(head)}")
    found = [(row[0], *numbers(row[1]), row[2].lower()) if len(row) == len(head) else tuple(row) for row in rows]
    if found == list(_CITIES):
        return right("the rows are right, and in order")
    if transcript.cut_off and found == list(_CITIES)[: len(found)]:
        return wrong("length", f"cut off after {len(found)} rows")
    same = sorted(map(str, found)) == sorted(str((city, float(count), sky)) for city, count, sky in _CITIES)
    return wrong("wrong_answer", "the rows are in another order" if same else f"has the rows {found!r:.300}")


def _tables(text: str) -> list[list[list[str]]]:
    """Return the tables of a text, each as its rows of cells, the first of them the head."""
    tables: list[list[list[str]]] = []
    rows = [*map(_cells, text.splitlines()), []]
    for number, delimiters in enumerate(rows):
        head = rows[number - 1]
        if len(head) == len(delimiters) > 1 and all(map(_DELIMITERS.fullmatch, delimiters)):
            tables.append([head])
        elif len(delimiters) > 1 and tables and rows[number - 1]:
            tables[-1].append(delimiters)
    return tables


def _cells(line: str) -> list[str]:
    """Return the cells of a row; the pipes at its ends may be missing."""
    if "|" not in line:
        return []
    return [plain(cell).strip() for cell in re.sub(r"^\s*\||\|\s*$", "", line).split("|")]


STRUCTURED: tuple[Test, ...] = (
    Test(
        id="json-schema",
        category="structured",
        title="valid JSON for a schema",
        talk=asks(Request((Message("user", _ORDER_QUESTION),))),
        score=score_json,
    ),
    Test(
        id="markdown-table",
        category="structured",
        title="a markdown table",
        talk=asks(Request((Message("user", _TABLE_QUESTION),))),
        score=score_table,
    ),
)
