"""`suture up`: what it deploys, and how its runs end before their time."""

from __future__ import annotations

import signal
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
def up(tmp_path: Path) -> Generator[Up]:
    with serving(tmp_path / "up.log") as running:
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


def state_of(api: str, run: str) -> dict[str, Any]:
    (found,) = post(api, "/flow_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
    return found["state"]


def works() -> bool:
    return any("deployments.execute" in command or "convert_hf" in command for command in processes().values())


def test_cancelled_then_killed(up: Up, store: Store, pico_recipe: Path) -> None:
    demo = load_recipe(CHECKOUT / "recipes" / "demo-stack.yaml")
    assert deployment(up)["parameters"] == {"recipe": demo.model_dump(mode="json")}
    assert deployment(up)["work_pool_name"] == "cpu"

    cancelled = start_run(up, pico_recipe)
    post(up.api, f"/flow_runs/{cancelled}/set_state", {"state": {"type": "CANCELLING"}})
    wait_until(lambda: not works())
    wait_until(lambda: state_of(up.api, cancelled)["type"] == "CANCELLED")
    assert [record.state for record in list_runs(store)] == ["interrupted"]

    killed = start_run(up, pico_recipe)
    up.process.kill()
    up.process.wait()
    wait_until(lambda: processes() == {})
    with managed_server() as server:
        assert state_of(server.api, killed)["type"] == "CRASHED"
        assert state_of(server.api, cancelled)["type"] == "CANCELLED"


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
