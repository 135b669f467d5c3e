"""`suture run` that is interrupted in the middle of a step: children, records and history."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
import yaml

from deployments.server import managed_server
from deployments.state import post
from suture.store import Store
from suture.store.runs import list_runs
from tests.flows.serving import CHECKOUT, processes, wait_until
from tests.flows.toys import attempts, toy_recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(toy_recipe().model_dump(mode="json")))
    return path


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


def is_in_the_middle(store: Store) -> bool:
    return len(store.list_keys()) == 3 and any("sleep(600)" in command for command in processes().values())


@pytest.fixture
def run_in_the_middle(recipe: Path, notes: Path, store: Store) -> Generator[subprocess.Popen[str]]:
    """A run whose merge waits for a child that does not end; its other arm has ended."""
    command = [sys.executable, "-m", "tests.flows.toy_run", str(notes), "endless", str(recipe)]
    with subprocess.Popen(command, cwd=CHECKOUT, stderr=subprocess.PIPE, text=True) as run:
        wait_until(lambda: is_in_the_middle(store) or run.poll() is not None, 120)
        assert run.poll() is None, run.communicate()
        yield run
        run.kill()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted(run_in_the_middle: subprocess.Popen[str], store: Store, number: int, status: int) -> None:
    run_in_the_middle.send_signal(number)
    _, said = run_in_the_middle.communicate(timeout=120)
    assert run_in_the_middle.returncode == status, said
    assert "Traceback" not in said
    assert "merge: stopped" in said
    assert processes() == {}
    (record,) = list_runs(store)
    assert record.state == "interrupted"
    with managed_server() as server:
        (run,) = post(server.api, "/flow_runs/filter", {})
        assert run["state"]["type"] == "CRASHED"
        assert "signal" in run["state"]["message"], "Prefect's own word for it, and not that of the guardian"


def test_killed_and_run_again(
    run_in_the_middle: subprocess.Popen[str], store: Store, notes: Path, recipe: Path
) -> None:
    run_in_the_middle.kill()
    run_in_the_middle.wait()
    wait_until(lambda: processes() == {})
    assert [record.state for record in list_runs(store)] == ["interrupted"]

    command = [sys.executable, "-m", "tests.flows.toy_run", str(notes), "good", str(recipe)]
    again = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=300, check=False)
    assert again.returncode == 0, again.stderr
    assert [record.state for record in list_runs(store)] == ["completed", "interrupted"]
    assert attempts(notes) == {"a": 1, "b": 1, "small_a": 1, "merged": 2, "small_merged": 1}
    assert "fetch a: cached" in again.stderr
    assert "Report: " in again.stdout
