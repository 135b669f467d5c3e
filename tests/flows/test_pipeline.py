"""The flow over real tasks, store and server; only the steps are toys."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployments.server import Server
from suture.errors import RecipeError
from suture.recipe import Recipe
from suture.steps import STEPS
from suture.store import RunRecord, Store
from suture.store.runs import list_runs
from tests.flows.serving import wait_until
from tests.flows.toys import Behaviour, attempts, toy_plan, toy_recipe

Build = Callable[..., RunRecord]


@pytest.fixture
def build(store: Store, notes: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Runs the flow on toys of the given behaviours; returns the run's record."""
    from flows import pipeline

    assert server.api
    for kind, step in STEPS.items():
        monkeypatch.setitem(STEPS, kind, step)  # puts the real ones back

    def run(name: str = "toy", **behaviours: Behaviour) -> RunRecord:
        def resolve(recipe: Recipe) -> object:
            return toy_plan(recipe, notes, **behaviours)

        monkeypatch.setattr(pipeline, "resolve", resolve)
        reference = pipeline.build_model(toy_recipe(name))
        assert reference["state"] == "completed"
        return list_runs(store)[0]

    return run


def task_runs(ask: Callable[..., Any], flow_run: str) -> dict[str, dict[str, Any]]:
    """Task runs by name, once the server has heard of the end of each: their states arrive as events."""
    deadline = time.monotonic() + 60
    while True:
        runs = ask("/task_runs/filter", flow_runs={"id": {"any_": [flow_run]}})
        if all(run["state"]["type"] not in ("RUNNING", "SCHEDULED") for run in runs) and len(runs) >= 5:
            return {run["name"]: run for run in runs}
        assert time.monotonic() < deadline, [(run["name"], run["state"]["name"]) for run in runs]
        time.sleep(0.2)


def test_second_run_finds_everything(build: Build, ask: Callable[..., Any], notes: Path, store: Store) -> None:
    first, second = build(), build()
    assert {step.cached for step in first.steps} == {False}
    assert {step.cached for step in second.steps} == {True}
    assert [step.key for step in second.steps] == [step.key for step in first.steps]
    assert set(attempts(notes).values()) == {1}

    states = {name: run["state"] for name, run in task_runs(ask, second.flow_run).items() if name != "report"}
    assert {state["name"] for state in states.values()} == {"Cached"}
    assert {state["type"] for state in states.values()} == {"COMPLETED"}
    assert {name: state["message"] for name, state in states.items()} == {s.label: s.key for s in second.steps}
    merged = next(step.key for step in first.steps if step.step == "merge")
    assert (store.load(merged).path / "content").read_bytes() == b"abmerged"


def test_runs_are_named_after_recipe_and_steps(build: Build, ask: Callable[..., Any]) -> None:
    record = build("a-good-name")
    (run,) = ask("/flow_runs/filter", flow_runs={"id": {"any_": [record.flow_run]}})
    assert run["name"] == "a-good-name: a + b, passthrough, Q4_K_M"
    wanted = {"recipe:a-good-name", "source:/a@0", "source:/b@0", "method:passthrough", "quant:Q4_K_M"}
    assert set(run["tags"]) == wanted
    assert record.flow_url.endswith(f"/runs/flow-run/{record.flow_run}")
    labels = {"fetch a", "fetch b", "merge", "quantize a Q8_0", "quantize merged Q8_0", "report"}
    assert set(task_runs(ask, record.flow_run)) == labels


def test_transient_failure_is_tried_again(build: Build, notes: Path) -> None:
    assert build(a="transient").state == "completed"
    assert attempts(notes)["a"] == 2


def test_mistake_is_not_tried_again_and_the_other_arm_ends(
    build: Build, ask: Callable[..., Any], notes: Path, store: Store
) -> None:
    with pytest.raises(RecipeError, match="a mistake in the recipe") as caught:
        build(merged="bad")
    assert attempts(notes) == {"a": 1, "b": 1, "merged": 1, "small_a": 1}

    (record,) = list_runs(store)
    assert record.state == "failed"
    assert "a mistake in the recipe" in record.error
    assert "way out:  mend it" in record.error
    assert record.failed == ("merge",)
    assert {step.label for step in record.steps} == {"fetch a", "fetch b", "quantize a Q8_0"}

    states = {name: run["state"]["name"] for name, run in task_runs(ask, record.flow_run).items()}
    assert states["merge"] == "Failed"
    assert states["quantize a Q8_0"] == "Completed"
    assert states["quantize merged Q8_0"] == "NotReady"

    def events() -> list[dict[str, Any]]:
        asked = {"event": {"prefix": ["suture.run."]}, "occurred": {"since": record.started.isoformat()}}
        return ask("/events/filter", filter=asked)["events"]

    wait_until(lambda: bool(events()))
    (event,) = events()
    assert event["event"] == "suture.run.failed"
    assert event["payload"] == {"recipe": "toy", "failed": ["merge"], "error": record.error}

    report = store.runs / record.run / "report.html"
    assert str(report) in "\n".join(caught.value.__notes__)
    assert "a mistake in the recipe" in report.read_text()


def test_arms_run_side_by_side(build: Build) -> None:
    assert build(a="meets the other", b="meets the other").state == "completed"


def test_independent_steps_of_two_arms_run_side_by_side(build: Build) -> None:
    """A merge and another arm's quantization: the plan names the second after the first's parents."""
    assert build(merged="meets the other", small_a="meets the other").state == "completed"


def test_result_holds_no_path(build: Build, ask: Callable[..., Any], tmp_path: Path) -> None:
    record = build()
    (flow_run,) = ask("/flow_runs/filter", flow_runs={"id": {"any_": [record.flow_run]}})
    stored = Path(flow_run["state"]["data"]["storage_key"]).read_text()
    assert record.run in stored
    assert str(tmp_path) not in stored


def test_report_and_progress_are_shown_on_the_run(
    build: Build, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.progress._BAR_SECONDS", 0.0)
    record = build("shown")
    artifacts = ask("/artifacts/filter", flow_runs={"id": {"any_": [record.flow_run]}})
    shown = {artifact["key"]: artifact for artifact in artifacts if artifact["key"]}
    assert shown.keys() == {"shown-scoreboard", "shown-report"}
    assert record.run in shown["shown-report"]["data"]
    assert record.flow_url in shown["shown-report"]["data"]
    assert f"suture show {record.run}" in shown["shown-scoreboard"]["description"]
    bars = [artifact for artifact in artifacts if artifact["type"] == "progress"]
    assert len(bars) == len(record.steps)
    assert {bar["data"] for bar in bars} == {100.0}
    assert all(re.fullmatch(r"[\w ]+: [\d.]+ s  loss 2\.5", bar["description"]) for bar in bars), bars
