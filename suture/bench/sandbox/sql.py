"""Runs a script of SQL on SQLite in memory and prints the rows that each statement gives as one line of JSON.

    python -I -S sql.py SCRIPT

Imports nothing of ours: inside the sandbox only this file is there.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path


def main() -> None:
    """Run it; an error ends it with status 1 and stands in stderr."""
    script = Path(sys.argv[1]).read_text(encoding="utf-8")
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.set_authorizer(_authorize)
    try:
        for statement in statements(script):
            cursor = database.execute(statement)
            if cursor.description is not None:
                print(json.dumps(cursor.fetchall(), ensure_ascii=False, default=bytes.hex), flush=True)
    except (sqlite3.Error, sqlite3.Warning) as error:
        sys.exit(f"{type(error).__name__}: {error}")


def _authorize(action: int, *_about: str | None) -> int:
    """Deny other databases: they would be files. Extensions SQLite does not load unless told to."""
    return sqlite3.SQLITE_DENY if action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH) else sqlite3.SQLITE_OK


def statements(script: str) -> Iterator[str]:
    """Yield the statements of a script; a semicolon in text, a comment or a trigger ends none."""
    statement = ""
    for piece in script.split(";"):
        statement += piece + ";"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip(" \n\t\r;"):
        yield statement.removesuffix(";")


if __name__ == "__main__":
    main()
