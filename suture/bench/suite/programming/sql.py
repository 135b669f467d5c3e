"""A query, run by SQLite over several sets of data."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

from pydantic import JsonValue, TypeAdapter, ValidationError

from suture.bench.sandbox import Program
from suture.bench.suite.coding import complete, ended_early, not_run
from suture.bench.suite.form import Message, Request, Score, Test, Transcript, asks, right, wrong
from suture.bench.suite.harness import same, shown
from suture.bench.suite.reading import fences

_SCHEMA = """\
CREATE TABLE customers (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL
);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    amount INTEGER NOT NULL,
    status TEXT NOT NULL
);"""

_QUESTION = f"""\
A SQLite database has these tables:

{_SCHEMA}

The status of an order is 'paid' or 'open'. Write one query that returns the name of each customer whose paid orders \
sum up to more than 100, and that sum. The largest sum comes first, and customers with equal sums are in \
alphabetical order of their names. Two customers may have the same name.

Reply with one SQL code block."""

_Row = tuple[str, int]

_CUSTOMERS = "INSERT INTO customers VALUES"
_ORDERS = "INSERT INTO orders (customer_id, amount, status) VALUES"

_EMPTY = "DELETE FROM orders; DELETE FROM customers;"

_DATA: tuple[tuple[str, tuple[_Row, ...]], ...] = (
    (
        f"""{_CUSTOMERS} (1, 'Ada'), (2, 'Bob'), (3, 'Cleo'), (4, 'Dora');
        {_ORDERS} (1, 70, 'paid'), (1, 50, 'paid'), (2, 500, 'open'), (2, 100, 'paid'), (3, 130, 'paid');""",
        (("Cleo", 130), ("Ada", 120)),
    ),
    (  # equal sums; two of one name, who together would have enough
        f"""{_CUSTOMERS} (1, 'Zoe'), (2, 'Eve'), (3, 'Ann'), (4, 'Eve');
        {_ORDERS} (1, 150, 'paid'), (3, 150, 'paid'), (2, 80, 'paid'), (4, 80, 'paid'), (3, 1, 'open');""",
        (("Ann", 150), ("Zoe", 150)),
    ),
    (
        f"""{_CUSTOMERS} (7, 'Kim'), (8, 'Lee'), (9, 'Mia');
        {_ORDERS} (7, 99, 'paid'), (8, 101, 'paid'), (9, 1000, 'paid'), (9, -20, 'paid'), (7, 99, 'open');""",
        (("Mia", 980), ("Lee", 101)),
    ),
    (f"{_CUSTOMERS} (1, 'Nobody');", ()),
)
"""What is in the tables, and what the query should return."""


def _programs(transcript: Transcript) -> tuple[Program, ...]:
    query = _query(transcript)
    if query is None:
        return ()
    parts = (f"{_EMPTY}\n{rows}\n{query}" for rows, _ in _DATA)
    return (Program("sql", {"main.sql": "\n".join((_SCHEMA, *parts))}, "main.sql"),)


def _query(transcript: Transcript) -> str | None:
    """Return the last query of the code blocks: before it may stand the tables, or another attempt."""
    code = "\n".join(f"{fence.code}\n;" for fence in complete(transcript))
    queries = [statement for statement in _statements(code) if _QUERY.match(statement)]
    return queries[-1] if queries else None


_QUERY = re.compile(r"(?>\s|--[^\n]*\n|/\*.*?\*/)*+(?:select|with)\b", re.IGNORECASE | re.DOTALL)


def _statements(code: str) -> Iterator[str]:
    """Yield the statements of a script; semicolons in strings and comments end none."""
    statement = ""
    for part in code.split(";")[:-1]:
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def score_sql(transcript: Transcript) -> Score:
    """The query gives the right rows, in the right order, of each set of data."""
    if not fences(transcript.text):
        return _lacking(transcript, wrong("no_fence", "there is no code block"))
    if _query(transcript) is None:
        return _lacking(transcript, wrong("syntax", "no code block has a query"))
    (execution,) = transcript.executions
    if execution.outcome != "done":
        return not_run(execution) or ended_early(execution, "the query")
    if execution.status != 0:
        is_syntax = re.search("syntax error|incomplete input|unrecognized token", execution.errors)
        return wrong("syntax" if is_syntax else "crash", execution.errors.strip()[-300:])
    lines = execution.output.split("\n")
    for number, (_, expected) in enumerate(_DATA):
        rows = _rows(lines[number]) if number < len(lines) else None  # WITH may begin a statement that gives none
        if not same(rows, [list(row) for row in expected]):
            return wrong("wrong_answer", f"gives {shown(rows)}, not {shown(expected)}")
    return right(f"right for {len(_DATA)} sets of data")


def _lacking(transcript: Transcript, verdict: Score) -> Score:
    return wrong("length", "cut off before the query was complete") if transcript.cut_off else verdict


_ROWS = TypeAdapter(list[list[JsonValue]])


def _rows(line: str) -> list[list[JsonValue]] | None:
    try:
        return _ROWS.validate_json(line)
    except ValidationError:  # such as a number beyond JSON's
        return None


SQL = Test(
    id="sql",
    category="programming",
    title="SQL, run on SQLite",
    talk=asks(Request((Message("user", _QUESTION),))),
    score=score_sql,
    programs=_programs,
)
