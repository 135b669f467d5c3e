"""Whole suites over real HTTP: an endpoint that knows every answer, and one whose answers only look right."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from suture.bench.capability import Asked, ask_url
from suture.bench.lab import open_lab
from suture.bench.samples import Samples
from suture.bench.suite import SUITE, Answer, Test, select
from suture.bench.suite.table import MULTI_TURN
from suture.progress import Silent
from suture.recipe import Sampling
from tests.unit.bench.conftest import LLAMA, running
from tests.unit.bench.machine import require_run

MODULES = (
    "basic",
    "reasoning",
    "tools",
    "agentic",
    "structured",
    "context",
    "multilingual",
    "programming",
    "performance",
)
MULTI_TURN_MODULES = ("multi_turn", "long_output")
Said = Mapping[str, tuple[Answer | str, ...]]


def answers(modules: tuple[str, ...], which: str) -> Said:
    """Return the answers to all tests of some modules."""
    found: dict[str, Any] = {}
    for name in modules:
        found |= getattr(importlib.import_module(f"tests.unit.bench.answers.{name}"), which)
    return found


def asked(tests: tuple[Test, ...], said: Said, folder: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the error class of each test, empty where it passed, and the facts of the run."""
    with running(LLAMA) as server, open_lab(tests, folder / "screenshots") as examine:
        for test in tests:
            server.script_talk(test, said[test.id])
        samples = Samples(folder, {})
        facts = ask_url(server.url, Asked(tests, Sampling(), examine), samples, Silent())
    require_run(run for sample in samples.taken for run in sample.executions)
    return {sample.test: sample.score.error_class for sample in samples.taken}, facts


def test_a_perfect_endpoint_passes_44_of_44(tmp_path: Path) -> None:
    classes, facts = asked(SUITE, answers(MODULES, "PERFECT"), tmp_path)
    assert {test: error for test, error in classes.items() if error} == {}
    assert (facts["passed"], facts["total"]) == (44, 44)
    assert facts["sandbox"]


def test_an_adversary_passes_nothing_it_should_not(tmp_path: Path) -> None:
    classes, _ = asked(SUITE, answers(MODULES, "ADVERSARY"), tmp_path)
    assert {test for test, error in classes.items() if not error} == {"server-health"}
    assert not {"server_error", "not_run", "timeout"} & set(classes.values())


def test_long_conversations_and_long_answers(tmp_path: Path) -> None:
    classes, facts = asked(MULTI_TURN, answers(MULTI_TURN_MODULES, "PERFECT"), tmp_path / "perfect")
    assert {test: error for test, error in classes.items() if error} == {}
    assert facts["total"] == len(MULTI_TURN) >= 8
    classes, facts = asked(MULTI_TURN, answers(MULTI_TURN_MODULES, "ADVERSARY"), tmp_path / "adversary")
    assert facts["passed"] == 0, classes


@pytest.mark.parametrize("test", select(["multi_turn"]), ids=lambda test: test.id)
def test_every_scenario_has_at_least_eight_turns(test: Test) -> None:
    if test.category == "multi_turn":
        assert len(answers(("multi_turn",), "PERFECT")[test.id]) >= 8
