"""A small repository with a failing test, for the category `agentic`.

What is wrong lies in its data: so whether the tests pass can be told without running any code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from suture.bench.suite.calls import Arguments
from suture.bench.suite.form import Message
from suture.bench.suite.worlds import World, problem, string, tool

_CODE = '''\
"""What a parcel costs, in cents."""

import json
from pathlib import Path

DATA = Path(__file__).parent.parent / "data"
ZONES = json.loads((DATA / "zones.json").read_text())
RATES = json.loads((DATA / "rates.json").read_text())


def cost(country: str, kilograms: int) -> int:
    """Return the price of a parcel to a country."""
    rate = RATES[ZONES[country]]
    return rate["base"] + rate["per_kg"] * kilograms
'''
_TESTS = """\
import pytest

from shipping.cost import cost


@pytest.mark.parametrize(
    ("country", "kilograms", "expected"),
    [("DE", 2, 600), ("AT", 5, 750), ("PT", 2, 980), ("ES", 1, 890), ("NO", 2, 1640), ("IS", 4, 2080)],
)
def test_cost(country: str, kilograms: int, expected: int) -> None:
    assert cost(country, kilograms) == expected
"""
_TARIFF = """\
# Tariff

| zone | countries | base (cents) | per kg (cents) |
|------|-----------|--------------|----------------|
| A    | DE, AT    | 500          | 50             |
| B    | PT, ES    | 800          | 90             |
| C    | NO, IS    | 1200         | 220            |

This page is what the tests and the data follow.
"""
_ZONES = '{\n  "DE": "A",\n  "AT": "A",\n  "PT": "B",\n  "ES": "B",\n  "NO": "B",\n  "IS": "C"\n}\n'
_RATES = (
    '{\n  "A": {"base": 500, "per_kg": 50},\n  "B": {"base": 800, "per_kg": 90},\n'
    '  "C": {"base": 1200, "per_kg": 220}\n}\n'
)
_FILES: Mapping[str, str] = MappingProxyType(
    {
        "data/rates.json": _RATES,
        "data/zones.json": _ZONES,
        "docs/tariff.md": _TARIFF,
        "shipping/cost.py": _CODE,
        "tests/test_cost.py": _TESTS,
    }
)
_WRITABLE = "data/"
_RIGHT: Mapping[str, Any] = MappingProxyType(
    {
        "data/rates.json": json.loads(_RATES),
        "data/zones.json": {"DE": "A", "AT": "A", "PT": "B", "ES": "B", "NO": "C", "IS": "C"},
    }
)
_CASES = (("DE", 2, 600), ("AT", 5, 750), ("PT", 2, 980), ("ES", 1, 890), ("NO", 2, 1640), ("IS", 4, 2080))
"""Those of the test file."""


@dataclass(frozen=True)
class Repository:
    """Its files.

    Attributes:
        files: Text by path.
        tested: Whether the tests were run since the last change.
    """

    files: Mapping[str, str] = field(default_factory=lambda: _FILES)
    tested: bool = False

    def failures(self) -> list[str]:
        """Return what the tests would say, then what of the data is not as it should be."""
        try:
            zones, rates = (json.loads(self.files[f"data/{name}.json"]) for name in ("zones", "rates"))
        except (ValueError, RecursionError) as error:
            return [f"tests/test_cost.py - json.decoder.JSONDecodeError: {error}"]
        failed = list(_failed_cases(zones, rates))
        changed = [path for path, right in _RIGHT.items() if json.loads(self.files[path]) != right]
        return failed or [f"{path} holds other data than it should" for path in changed]


def _failed_cases(zones: Any, rates: Any) -> Iterator[str]:  # noqa: ANN401 -- JSON of any shape, as the model left it
    for country, kilograms, expected in _CASES:
        name = f"tests/test_cost.py::test_cost[{country}-{kilograms}-{expected}] - "
        try:
            rate = rates[zones[country]]
            got = rate["base"] + rate["per_kg"] * kilograms
        except (KeyError, TypeError, IndexError) as error:
            yield f"{name}{type(error).__name__}: {error}"
        else:
            if got != expected:
                yield f"{name}assert {got} == {expected}"


def _act(state: Repository, name: str, arguments: Arguments) -> tuple[Repository, str]:
    if name == "list_files":
        return state, "\n".join(state.files)
    if name == "run_tests":
        return replace(state, tested=True), _report(state)
    path = str(arguments["path"]).strip().removeprefix("./")
    if path not in state.files:
        return state, problem(f"{path}: no such file")
    if name == "read_file":
        return state, state.files[path]
    return _edit(state, path, str(arguments["old"]), str(arguments["new"]))


def _edit(state: Repository, path: str, old: str, new: str) -> tuple[Repository, str]:
    if not path.startswith(_WRITABLE):
        return state, problem(f"{path}: permission denied, only files in {_WRITABLE} can be changed")
    count = state.files[path].count(old) if old else 0
    if count != 1:
        return state, problem(f"{path}: 'old' occurs {count} times, not once; nothing was changed")
    files = {**state.files, path: state.files[path].replace(old, new)}
    return Repository(MappingProxyType(files)), f"{path}: replaced"


def _report(state: Repository) -> str:
    """Return what pytest prints; that the data are right beyond the tests is for the scorer alone."""
    failed = [line for line in state.failures() if line.startswith("tests/")]
    if not failed:
        return f"{len(_CASES)} passed in 0.03s"
    lines = "\n".join(f"FAILED {line}" for line in failed)
    return (
        f"=== short test summary info ===\n{lines}\n{len(failed)} failed, {len(_CASES) - len(failed)} passed in 0.04s"
    )


REPOSITORY = World(
    opening=(
        Message(
            "system",
            "You are a programmer who works in a repository through tools. Do not ask back: nobody is there to "
            "answer. When the task is done, say so in one sentence.",
        ),
        Message(
            "user",
            "A test of our shipping package fails. Find out why and fix it, then run the tests again. "
            "The tests, the code and docs/tariff.md are right and cannot be changed: the fault is in data/.",
        ),
    ),
    tools=(
        tool("list_files", "List the files of the repository.", {}),
        tool("run_tests", "Run all tests.", {}),
        tool("read_file", "Return the text of a file.", {"path": string("Path from the root of the repository.")}),
        tool(
            "replace_in_file",
            "Replace a piece of text, which must occur exactly once in the file, by another.",
            {"path": string("Path of the file."), "old": string("Text to replace."), "new": string("Text instead.")},
        ),
    ),
    start=Repository(),
    act=_act,
    steps=14,
)
