"""`suture up`: what it deploys, and how its runs end before their time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.server import managed_server
from deployments.state import post
from suture.recipe import load_recipe
from suture.store import Store
from suture.store.runs import list_runs
from tests.flows.serving import CHECKOUT, Up, processes, serving, wait_until

pytestmark = pytest.mark.usefixtures("toolchain")


@pytest.fixture
def up(tmp_path: Path, request: pytest.FixtureRequest) -> Generator[Up]:
    with serving(tmp_path / "up.log", *getattr(request, "param", [])) as running:
        yield running


def deployment(up: Up) -> dict[str, Any]:
    (found,) = post(up.api, "/deployments/filter", {"flows": {"name": {"any_": ["build_model"]}}})
    return found


def ask_for_run(up: Up, recipe: dict[str, Any]) -> str:
    """Ask for a run, as the form does."""
    body = {"parameters": {"recipe": recipe}, "state": {"type": "SCHEDULED"}}
    return post(up.api, f"/deployments/{deployment(up)['id']}/create_flow_run", body)["id"]


def start_run(up: Up, recipe: Path) -> str:
    """Start a run, and wait until one of its tools is at work."""
    run = ask_for_run(up, yaml.safe_load(recipe.read_text()))
    wait_until(lambda: any("convert_hf_to_gguf" in command for command in processes().values()), 300)
    return run


def retry(up: Up, run: str) -> None:
    """Do what the pages' button does."""
    state = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"}
    post(up.api, f"/flow_runs/{run}/set_state", {"state": state})


def stop_training_in_the_middle(store: Store) -> Path:
    """Stop the training process after a checkpoint, so that it does not hear SIGTERM; returns its scratch."""
    checkpoints = "*/scratch/checkpoint-*/complete.json"
    wait_until(lambda: bool(the("suture.heal.training")) and any(store.partial.glob(checkpoints)), 900)
    for pid in the("suture.heal.training"):
        os.kill(pid, signal.SIGSTOP)
    return next(store.partial.glob(checkpoints)).parents[1]


def fetched(store: Store) -> list[str]:
    """The keys of the sources that are in the store."""
    return [key for key in store.list_keys() if store.load(key).manifest.step == "fetch"]


def the(*words: str) -> set[int]:
    """The ids of all processes whose command lines have one of these words."""
    return {pid for pid, command in processes().items() if any(word in command for word in words)}


def runs(up: Up) -> list[dict[str, Any]]:
    return post(up.api, "/flow_runs/filter", {})


def state_of(api: str, run: str) -> dict[str, Any]:
    (found,) = post(api, "/flow_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
    return found["state"]


def works() -> bool:
    return any("deployments.execute" in command or "convert_hf" in command for command in processes().values())


@pytest.mark.parametrize("up", [["--gpu-worker"]], indirect=True)
def test_cancelled_in_its_heal_and_retried_then_killed(up: Up, store: Store, pico_recipe: Path) -> None:
    demo = load_recipe(CHECKOUT / "recipes" / "demo-stack.yaml")
    assert deployment(up)["parameters"] == {"recipe": demo.model_dump(mode="json")}
    assert deployment(up)["work_pool_name"] == "cpu"

    recipe = yaml.safe_load(pico_recipe.read_text())
    recipe["heal"] |= {"control": False, "steps": 60, "checkpoint_every": 5}
    cancelled = ask_for_run(up, recipe)
    scratch = stop_training_in_the_middle(store)
    stubborn = the("convert_hf_to_gguf", "suture.heal.training")
    begun = time.monotonic()
    post(up.api, f"/flow_runs/{cancelled}/set_state", {"state": {"type": "CANCELLING"}})
    wait_until(lambda: not stubborn & processes().keys())
    print(f"children gone {time.monotonic() - begun:.1f} s after a cancel, one of which does not hear SIGTERM")
    wait_until(lambda: not works())
    wait_until(lambda: {run["state"]["type"] for run in runs(up)} == {"CANCELLED"})
    assert len(runs(up)) == 2, "the run, and its heal on the worker for trainings"
    assert [record.state for record in list_runs(store)] == ["interrupted"]
    assert any(scratch.glob("checkpoint-*/complete.json")), "for the retry"

    retry(up, cancelled)
    wait_until(lambda: state_of(up.api, cancelled)["type"] == "COMPLETED", 400)
    assert [(record.state, record.flow_run) for record in list_runs(store)] == [
        ("completed", cancelled),
        ("interrupted", cancelled),
    ], "a record for each attempt"
    healed = store.load(scratch.parent.name)
    facts: dict[str, Any] = healed.facts
    assert facts["resumed_from"] >= 5
    assert {step.cached for step in list_runs(store)[0].steps if step.step in ("fetch", "merge")} == {True}

    killed = start_run(up, pico_recipe)
    up.process.kill()
    up.process.wait()
    wait_until(lambda: processes() == {})
    with managed_server() as server:
        assert state_of(server.api, killed)["type"] == "CRASHED"
        assert state_of(server.api, cancelled)["type"] == "COMPLETED"


def test_result_of_a_step_whose_artifact_is_gone_is_not_taken(up: Up, store: Store, pico_recipe: Path) -> None:
    """Prefect has kept what the task returned; what counts is the store."""
    run = start_run(up, pico_recipe)
    wait_until(lambda: len(fetched(store)) == 2, 100)
    (engine,) = the("deployments.execute")
    os.kill(engine, signal.SIGKILL)
    wait_until(lambda: state_of(up.api, run)["type"] == "CRASHED", 200)
    assert "start the run again and it goes on" in state_of(up.api, run)["message"]
    wait_until(lambda: not works())
    gone, kept = fetched(store)
    store.remove(gone)
    retry(up, run)
    wait_until(lambda: state_of(up.api, run)["type"] == "COMPLETED", 400)
    cached = {step.key: step.cached for step in list_runs(store)[0].steps}
    assert (cached[gone], cached[kept]) == (False, True)


def test_mistake_that_no_schema_tells_then_terminated(up: Up, store: Store, pico_recipe: Path) -> None:
    recipe = yaml.safe_load(pico_recipe.read_text())
    recipe["merge"]["base"] = "nobody"
    run = ask_for_run(up, recipe)
    wait_until(lambda: state_of(up.api, run)["type"] == "FAILED")
    assert "nobody" in state_of(up.api, run)["message"]
    assert not store.root.exists()
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(60) == 0
    assert processes() == {}
