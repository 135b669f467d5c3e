"""Two runs side by side, through the command: what is noise is said to be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from suture.bench.samples import Sample, Samples
from suture.bench.suite.form import right, wrong
from suture.cli import app
from suture.errors import HostError, InputError
from suture.report.data import ArmData
from suture.report.gather import gather
from suture.store import Store
from suture.versus import Side, compare_runs, side
from tests.unit.report.demo_report import demo_run

PUBLISHED = {"source": 41, "raw": 39, "healed": 40}
"""How many of 44 tests the arms of the published run passed."""


def folder_with(folder: Path, passed: list[int], asked: int = 1) -> Path:
    """Write the samples of a run whose tests were passed so often."""
    samples = Samples(folder, {})
    for number, count in enumerate(passed):
        for repeat in range(asked):
            score = right("yes") if repeat < count else wrong("wrong_answer", "no")
            samples.take(Sample(f"test-{number}", "basic", repeat, repeat, (), (), (), (), score))
    return folder


def compared(first: Path, second: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    app(["compare", str(first), str(second), "--json"], standalone_mode=False)
    (model,) = json.loads(capsys.readouterr().out)["models"]
    return model


@pytest.mark.parametrize(("first", "second"), [("source", "raw"), ("source", "healed"), ("raw", "healed")])
def test_the_published_totals_are_no_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], first: str, second: str
) -> None:
    one, other = (
        folder_with(tmp_path / name, [1] * PUBLISHED[name] + [0] * (44 - PUBLISHED[name])) for name in (first, second)
    )
    found = compared(one, other, capsys)
    assert found["verdict"] == "no detectable difference"
    assert found["tests"]["p"] >= 0.5
    assert found["tests"]["interval"]["low"] <= 0


def test_a_true_difference_is_called_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = folder_with(tmp_path / "a", [1] * 40), folder_with(tmp_path / "b", [1] * 28 + [0] * 12)
    assert compared(one, other, capsys)["verdict"] == "fewer tests"
    assert compared(other, one, capsys)["verdict"] == "more tests"


def test_repeats_of_few_tests_tell_no_more_than_the_tests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = folder_with(tmp_path / "a", [20] * 4, 20), folder_with(tmp_path / "b", [0] * 4, 20)
    found = compared(one, other, capsys)
    assert found["tests"]["p"] == 0.125
    assert found["verdict"] == "no detectable difference"


@pytest.fixture
def arms(store: Store) -> dict[str, ArmData]:
    """The arms of a finished run of the demo."""
    return {arm.name: arm for arm in gather(store, demo_run(store)).arms}


def test_two_runs_of_a_recipe_are_compared_arm_by_arm(arms: dict[str, ArmData]) -> None:
    first = Side("one", arms)
    worse = {
        name: arm.model_copy(
            update={"chunks": {text: tuple(loss + 0.1 for loss in chunks) for text, chunks in arm.chunks.items()}}
        )
        for name, arm in arms.items()
    }
    rows = compare_runs(first, Side("two", worse))
    assert [row.first.name for row in rows] == list(arms)
    assert {row.verdict for row in rows} == {"higher perplexity"}
    assert all(row.perplexity and row.perplexity.value == pytest.approx(0.1) for row in rows)
    assert {row.verdict for row in compare_runs(first, first)} == {"no detectable difference"}


def test_what_has_nothing_in_common_is_refused(arms: dict[str, ArmData]) -> None:
    with pytest.raises(InputError, match="no model in common"):
        compare_runs(Side("one", arms), Side("two", {"other": arms["a"]}))


def test_a_name_that_is_neither_run_nor_folder_is_refused(store: Store) -> None:
    with pytest.raises(HostError):
        side(store, "nothing-of-this-name")
