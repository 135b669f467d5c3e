"""The category `long_output`: more than four thousand tokens in one answer, by rules that must hold to its end."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from operator import eq
from typing import TypeVar

from pydantic import JsonValue

from suture.bench.suite.form import Message, Request, Score, Test, Transcript, asks, right, wrong
from suture.bench.suite.jsontext import json_in, objects_in, same

T = TypeVar("T")

_MAX_TOKENS = 7168
"""Beyond what the longest sensible form of the answer takes; a run's own limit would cut it off."""
_SECONDS = 1800.0


def _request(question: str) -> tuple[Request, ...]:
    return (Request((Message("user", question),), max_tokens=_MAX_TOKENS, seconds=_SECONDS),)


# -- records --------------------------------------------------------------------------------------------------

_ROWS, _SEATS = 18, "ABCDEFGH"
_AISLE = "DE"


def seat_records() -> list[dict[str, JsonValue]]:
    """Return the records in their order, as the rules of the question have them."""
    return [
        {
            "id": (row - 1) * len(_SEATS) + place,
            "row": row,
            "seat": seat,
            "aisle": seat in _AISLE,
            "price": 40 if row <= 6 else 30 if row <= 12 else 20,
        }
        for row in range(1, _ROWS + 1)
        for place, seat in enumerate(_SEATS, start=1)
    ]


def score_records(transcript: Transcript) -> Score:
    """A JSON array of just the right records; else how many are right, up to where."""
    expected = seat_records()
    found = json_in(transcript.text)
    if isinstance(found, list) and same(found, [*expected]):
        return right(f"all {len(expected)} records are right")
    records = objects_in(transcript.text)
    why = _progress(expected, records, "record", same)
    if transcript.cut_off:
        return wrong("length", f"cut off; {why}")
    if not records or not isinstance(found, list):
        return wrong("invalid_json", f"not a JSON array; {why}")
    return wrong("wrong_answer", why)


# -- table ----------------------------------------------------------------------------------------------------

_YEARS = range(2031, 2044)
_MONTHLY, _DECEMBER = 40, 100
_DIVIDER = re.compile(r"[-:\s]+")


def savings_rows() -> list[tuple[str, ...]]:
    """Return the rows of the table in their order, as the rules of the question have them."""
    rows: list[tuple[str, ...]] = []
    total = 0
    for year in _YEARS:
        for month in range(1, 13):
            deposit = _DECEMBER if month == 12 else _MONTHLY
            total += deposit
            quarter = f"Q{(month + 2) // 3}"
            rows.append((str(len(rows) + 1), f"{year}-{month:02d}", quarter, str(deposit), str(total)))
    return rows


def score_table(transcript: Transcript) -> Score:
    """A Markdown table of just the right rows; else how many are right, up to where."""
    expected = savings_rows()
    lines = [line.strip() for line in transcript.text.splitlines() if line.strip().startswith("|")]
    cells = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]
    rows = [(row[0].rstrip("."), *row[1:]) for row in cells if row[0].rstrip(".").isdigit()]
    dividers = [row for row in cells if all(_DIVIDER.fullmatch(cell) for cell in row)]
    if not rows or not dividers:
        return wrong("length" if transcript.cut_off else "no_table", "there is no Markdown table with numbered rows")
    plain = [tuple(cell.replace(",", "") for cell in row) for row in rows]
    if plain == expected:
        return right(f"all {len(expected)} rows are right")
    why = _progress(expected, plain, "row")
    return wrong("length" if transcript.cut_off else "wrong_answer", why)


def _progress(expected: Sequence[T], found: Sequence[T], what: str, equal: Callable[[T, T], bool] = eq) -> str:
    """Return in words how far the answer is right."""
    count = next((i for i, (a, b) in enumerate(zip(expected, found, strict=False)) if not equal(a, b)), len(found))
    count = min(count, len(expected))
    first = f"; then comes {str(found[count])[:120]}" if count < len(found) else ""
    return f"the first {count} of {len(expected)} {what}s are right, {len(found)} are there{first}"


LONG_OUTPUT: tuple[Test, ...] = (
    Test(
        id="long-records",
        category="long_output",
        title="144 records in JSON",
        talk=asks(
            *_request(
                "Write the seats of a small theatre as one JSON array, with one object per line and nothing"
                " left out. There are 18 rows (1 to 18) of 8 seats each (A to H), so 144 objects: row 1 "
                "seat A first, then row 1 seat B, and so on to row 18 seat H. Every object has just these "
                'keys: "id" counts from 1 to 144; "row" is the number of the row; "seat" is the letter; '
                '"aisle" is true for the seats D and E, else false; "price" is 40 in the rows 1 to 6, 30 in'
                ' the rows 7 to 12, and 20 in the rows 13 to 18. The first line after the bracket is {"id":'
                ' 1, "row": 1, "seat": "A", "aisle": false, "price": 40}. Do not abbreviate, and write no '
                "code."
            )
        ),
        score=score_records,
        context=8192,
    ),
    Test(
        id="long-table",
        category="long_output",
        title="table of 156 rows",
        talk=asks(
            *_request(
                "Write a Markdown table of a savings plan with one row for each month from 2031-01 to "
                "2043-12, so 156 rows. The columns are: No. (from 1 to 156), Month (as YYYY-MM), Quarter "
                "(Q1 for January to March, and so on to Q4), Deposit (40 in every month, but 100 in "
                "December), and Total (the sum of all deposits up to and with this row). The first row is |"
                " 1 | 2031-01 | Q1 | 40 | 40 |. Do not abbreviate, and write no code."
            )
        ),
        score=score_table,
        context=8192,
    ),
)
