"""What the terminal shows of runs: the words of tools and models are no markup, and one bad point stops no other."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from deployments import sweep
from deployments.display import BarDisplay
from suture.recipe import Recipe
from suture.sweep import PlannedPoint, plan_sweep, read_sweep

WORDS = "KeyError: '[/INST]' is no [bold]token"


def test_words_of_others_are_shown_as_they_are() -> None:
    file = io.StringIO()
    console = Console(file=file, width=200, force_terminal=True, color_system=None)
    with BarDisplay(console) as display:
        bar = display.start("fetch [/a]")
        bar.say(WORDS)
        display._progress.refresh()
        display.finish("fetch [/a]", f"failed: {WORDS}")
    assert f"failed: {WORDS}" in file.getvalue()
    assert file.getvalue().count(WORDS) > 1


def test_a_point_that_fails_stops_no_other(pico_recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def run(recipe: Recipe) -> None:
        asked.append(recipe.name)
        if len(asked) == 1:
            raise OSError("the network is away")

    monkeypatch.setattr(sweep, "run_flow", run)
    todo: tuple[PlannedPoint, ...] = tuple(plan_sweep(read_sweep(pico_recipe, ["heal.learning_rate=0.1,0.2"])).points)
    told: list[tuple[int, str, str]] = []
    sweep._in_this_process(todo, lambda point, state, why: told.append((point.number, state, why)))
    assert [each for each in told if each[1] != "Running"] == [
        (1, "Failed", "the network is away"),
        (2, "Completed", ""),
    ]
