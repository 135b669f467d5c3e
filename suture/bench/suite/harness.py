"""Has code of a model called in the sandbox, and reads back what the calls returned.

A program holds the model's code and the calls, never what a right call returns: results come back as data, and the
scorer compares them. So the code may print, exit, forge and patch what it likes: that costs it its own results.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from suture.bench.sandbox import Execution, Limits, Program

_INSIDE = Path(__file__).with_name("inside")

CodeLanguage = Literal["python", "javascript"]
"""What blocks can be called."""

_LIMITS = {"python": Limits(), "javascript": Limits(memory=2**30)}  # node takes more to begin with


class Raised(BaseModel):
    """An error, as the sandbox reports it.

    Attributes:
        kind: Its class.
        text: Its message.
        at_call: Whether it rose at the call itself, before any line of the code ran.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: str
    text: str
    at_call: bool

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}" if self.text else self.kind


@dataclass(frozen=True)
class Odd:
    """A value that is no plain data, and equal to nothing but its like."""

    kind: str


@dataclass(frozen=True)
class View:
    """Items in order that are no list: a deque, a range, the values of a dict."""

    items: tuple[object, ...]


@dataclass(frozen=True)
class Report:
    """What the calls of a program came to.

    Attributes:
        broken: Errors of blocks that did not run to their end.
        results: Of the calls in their order, as far as they came: a value, or what was raised.
    """

    broken: tuple[Raised, ...]
    results: tuple[object, ...]


def calling(
    language: CodeLanguage,
    blocks: Sequence[str],
    calls: Sequence[str],
    *,
    name: str = "",
    limits: Limits | None = None,
) -> Program:
    """Return the program that executes blocks of code, then evaluates calls.

    Args:
        language: What they are written in.
        blocks: The code; each may fail without keeping the next from running.
        calls: Expressions.
        name: The function that JavaScript's calls call.
        limits: What the program may use; what is plenty for either language when None.
    """
    suffix = "py" if language == "python" else "js"
    main = f"main.{suffix}"
    files = {f"block_{number}.{suffix}": block for number, block in enumerate(blocks, start=1)}
    job = {"blocks": list(files), "calls": list(calls), "name": name}
    return Program(
        language=language,
        files={**files, "job.json": json.dumps(job), main: inside(f"calls.{suffix}")},
        main=main,
        limits=limits or _LIMITS[language],
    )


@functools.cache
def inside(name: str) -> str:
    """Return the text of a file that runs in the sandbox."""
    return (_INSIDE / name).read_text(encoding="utf-8")


def read_report(execution: Execution) -> Report:
    """Return what a program of `calling` reported; other lines that its code may have written are passed over."""
    broken: list[Raised] = []
    results: list[object] = []
    for text in execution.output.split("\n"):
        line = _parse(text)
        if line is None:
            continue
        if line.block is not None and line.error:
            broken.append(line.error)
        if line.call == len(results):
            results.append(line.error or _decode(line.value))
    return Report(tuple(broken), tuple(results))


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    block: int | None = None
    call: int | None = None
    value: JsonValue = None
    error: Raised | None = None


def _parse(text: str) -> _Line | None:
    try:
        return _Line.model_validate_json(text)
    except ValidationError:
        return None


def _decode(value: JsonValue) -> object:
    if isinstance(value, list):
        return [_decode(each) for each in value]
    if not isinstance(value, dict):
        return value
    try:
        ((tag, content),) = value.items()
        return _TAGGED[tag](content)
    except (KeyError, TypeError, ValueError):  # the harness writes no such: the code did
        return Odd("forged")


def _items(content: JsonValue) -> list[object]:
    if not isinstance(content, list):
        raise TypeError
    return [_decode(each) for each in content]


_TAGGED: Mapping[str, Callable[[JsonValue], object]] = {
    "int": lambda content: int(str(content), 16),
    "float": lambda content: float(str(content)),
    "dict": lambda content: dict(cast("list[tuple[object, object]]", _items(content))),
    "tuple": lambda content: tuple(_items(content)),
    "set": lambda content: frozenset(_items(content)),
    "view": lambda content: View(tuple(_items(content))),
    "object": lambda content: Odd(str(content)),
}
"""What `inside/calls.py` writes for what JSON has not."""


def shown(value: object) -> str:
    """Return a value as a reason shows it: its beginning, whatever it is."""
    try:
        return repr(value)[:200]
    except ValueError:  # Python writes no integers of more than 4300 digits
        return "a number of thousands of digits"


def same(value: object, expected: object) -> bool:
    """Return whether a result is what was expected.

    A tuple, or another sequence, is as good as a list, and a whole float as an integer; but True is no number.
    """
    if isinstance(expected, bool) or isinstance(value, bool):
        return value is expected
    if isinstance(expected, int | float):
        return isinstance(value, int | float) and _close(value, expected)
    if isinstance(expected, list):
        items, others = sequence(value), cast("list[object]", expected)
        return items is not None and len(items) == len(others) and all(map(same, items, others))
    if isinstance(expected, dict):
        fields, wanted = value, cast("dict[object, object]", expected)
        if not isinstance(fields, dict) or fields.keys() != wanted.keys():
            return False
        return all(same(each, wanted[key]) for key, each in cast("dict[object, object]", fields).items())
    return value == expected


def sequence(value: object) -> list[object] | None:
    """Return the items of anything ordered; None where it is not."""
    if isinstance(value, View):
        return list(value.items)
    return list(cast("Sequence[object]", value)) if isinstance(value, list | tuple) else None


def _close(value: float, expected: float) -> bool:
    if isinstance(value, int) and isinstance(expected, int):
        return value == expected
    try:
        return math.isclose(value, expected, rel_tol=1e-9, abs_tol=1e-12)
    except OverflowError:  # an integer beyond the floats
        return False
