"""The heal on the pool `gpu`, by a real worker, for parents that are interrupted, killed and start again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from deployments.state import post
from suture.plan import resolve
from suture.recipe import load_recipe
from suture.steps import PlannedStep
from suture.store import Store
from tests.flows.serving import CHECKOUT, Up, processes, serving, wait_until

pytestmark = pytest.mark.usefixtures("toolchain")

Recipe = Callable[..., Path]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this module's server and its parents have their store."""
    return tmp_path_factory.mktemp("heal")


@pytest.fixture(scope="module")
def up(place: Path) -> Generator[Up]:
    """`suture up` with a worker for trainings, as on a machine that has a GPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUTURE_STORE", str(place / "store"))
        patch.setenv("SUTURE_STATE", str(place / "state"))
        with serving(place / "up.log", "--gpu-worker") as running:
            yield running


@pytest.fixture(autouse=True)
def at_this_place(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUTURE_STORE", str(place / "store"))
    monkeypatch.setenv("SUTURE_STATE", str(place / "state"))


@pytest.fixture
def store(place: Path) -> Store:
    return Store(place / "store")


@pytest.fixture
def recipe(pico_recipe: Path) -> Recipe:
    """Writes the pico recipe with other settings of its heal."""

    def write(**settings: Any) -> Path:
        content = yaml.safe_load(pico_recipe.read_text())
        content["heal"] |= settings | {"control": False}
        pico_recipe.write_text(yaml.safe_dump(content))
        return pico_recipe

    return write


@contextlib.contextmanager
def parent(recipe: Path) -> Generator[subprocess.Popen[str]]:
    """A process that wants the recipe's heal."""
    command = [sys.executable, "-m", "tests.flows.heal_run", str(recipe)]
    with subprocess.Popen(command, cwd=CHECKOUT, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said_before(process: subprocess.Popen[str], wanted: str) -> str:
    """Return what a parent says until it says what is wanted."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if wanted in line:
            return said
    raise AssertionError(said)


def heal_of(recipe: Path) -> PlannedStep:
    return next(step for step in resolve(load_recipe(recipe)).steps if step.step == "heal")


def children(up: Up, key: str) -> list[dict[str, Any]]:
    """The runs on the worker for an artifact, in the order of their attempts."""
    body = {"flow_runs": {"tags": {"all_": [f"heal-{key[:16]}"]}}}
    found = post(up.api, "/flow_runs/filter", body)
    return sorted(found, key=lambda run: int(run["idempotency_key"].rpartition("-")[2]))


def patch(up: Up, path: str, body: dict[str, Any]) -> None:
    httpx.patch(f"{up.api}{path}", json=body, trust_env=False).raise_for_status()


def states(up: Up, key: str) -> list[str]:
    return [run["state"]["type"] for run in children(up, key)]


def the(word: str) -> int:
    """The id of the one process whose command line has this word."""
    (found,) = [pid for pid, command in processes().items() if word in command]
    return found


def is_training() -> bool:
    return any("suture.heal.training" in command for command in processes().values())


def freeze_in_the_middle(store: Store, key: str) -> None:
    """Stop the training process after its first checkpoint, so that what is to happen in the middle does."""
    scratch = store.partial / key / "scratch"
    wait_until(lambda: is_training() and any(scratch.glob("checkpoint-*/complete.json")), 300)
    os.kill(the("suture.heal.training"), signal.SIGSTOP)


def test_failure_on_the_worker_is_the_parents_failure(up: Up, recipe: Recipe) -> None:
    path = recipe(targets=["nobody_proj"])
    with parent(path) as process:
        _, said = process.communicate(timeout=400)
    assert process.returncode == 1
    error = said[said.index("suture: ") :]
    assert "nobody_proj" in error
    assert "way out:" in error
    assert "Traceback" not in error
    found = children(up, heal_of(path).key)
    assert len(found) == 1, said
    (child,) = found
    assert child["state"]["type"] == "FAILED"
    assert child["id"] in error, "where to read more"


def test_interrupted_killed_joined_and_resumed(up: Up, recipe: Recipe, store: Store) -> None:
    path = recipe(steps=60, checkpoint_every=5)
    key = heal_of(path).key

    with parent(path) as interrupted:
        freeze_in_the_middle(store, key)
        interrupted.send_signal(signal.SIGINT)
        interrupted.communicate(timeout=60)
        wait_until(lambda: states(up, key) == ["CANCELLED"], 120)
        wait_until(lambda: not is_training())

    with parent(path) as killed:
        wait_until(is_training, 300)
        os.kill(the("suture.heal.training"), signal.SIGSTOP)
        killed.kill()
        killed.wait()
    assert states(up, key) == ["CANCELLED", "RUNNING"]

    with parent(path) as last:
        said_before(last, "the GPU worker has this already")
        os.kill(the("deployments.execute"), signal.SIGKILL)
        _, said = last.communicate(timeout=400)
        assert last.returncode == 0, said
    assert states(up, key) == ["CANCELLED", "CRASHED", "COMPLETED"]
    *_, child = children(up, key)
    assert child["name"] == "pico: heal healed"
    assert child["work_pool_name"] == "gpu"
    assert child["parent_task_run_id"], "the pages show it within its parent"

    made = store.load(key)
    assert made.facts["resumed_from"] >= 5
    steps = [json.loads(line)["step"] for line in (made.path / "losses.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 61)), "no step twice, none left out"


def test_without_a_worker_it_is_trained_where_the_rest_runs(up: Up, recipe: Recipe, store: Store) -> None:
    path = recipe()
    patch(up, "/work_pools/gpu", {"is_paused": True})
    with parent(path) as process:
        _, said = process.communicate(timeout=400)
    patch(up, "/work_pools/gpu", {"is_paused": False})
    assert process.returncode == 0, said
    assert "heal healed: training here: no worker is online" in said
    key = heal_of(path).key
    assert store.has(key)
    assert children(up, key) == []
