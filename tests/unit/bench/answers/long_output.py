"""Answers to the tests of the category `long_output`, each made by rules of its own."""

from __future__ import annotations

import itertools
import json

from suture.bench.suite import Answer


def records() -> list[dict[str, object]]:
    """The seats of the theatre."""
    prices = {1: 40, 2: 30, 3: 20}
    return [
        {
            "id": n + 1,
            "row": n // 8 + 1,
            "seat": chr(65 + n % 8),
            "aisle": n % 8 in (3, 4),
            "price": prices[n // 48 + 1],
        }
        for n in range(144)
    ]


def array(rows: list[dict[str, object]]) -> str:
    """One object per line."""
    return "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]"


def rows() -> list[list[object]]:
    """The rows of the savings plan."""
    deposits = ([40] * 11 + [100]) * 13
    totals = itertools.accumulate(deposits)
    quarters = ("Q1", "Q1", "Q1", "Q2", "Q2", "Q2", "Q3", "Q3", "Q3", "Q4", "Q4", "Q4")
    return [
        [n + 1, f"{2031 + n // 12}-{n % 12 + 1:02}", quarters[n % 12], deposit, total]
        for n, (deposit, total) in enumerate(zip(deposits, totals, strict=True))
    ]


def table(body: list[list[object]]) -> str:
    """In Markdown."""
    lines = [["No.", "Month", "Quarter", "Deposit", "Total"], ["---"] * 5, *body]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def slipped(body: list[list[object]]) -> list[list[object]]:
    """The same rows, but from one December on the total lacks what was paid in more."""
    return [[*row[:4], int(str(row[4])) - 60] if int(str(row[0])) >= 96 else row for row in body]


PERFECT: dict[str, tuple[Answer | str, ...]] = {
    "long-records": (array(records()),),
    "long-table": (table(rows()),),
}
ADVERSARY: dict[str, tuple[Answer | str, ...]] = {
    "long-records": (array([record | {"price": 30} if record["row"] == 13 else record for record in records()]),),
    "long-table": (table(slipped(rows())),),
}
