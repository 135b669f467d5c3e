"""`suture sweep`: alone, on the pool of `suture up`, from the form, and ended before its time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.state import post
from suture.store import Store
from suture.store.runs import list_runs
from suture.sweep import SweepData, read_sweep
from tests.flows.serving import CHECKOUT, Up, serving, wait_until

PATIENCE = 600

pytestmark = [pytest.mark.usefixtures("toolchain"), pytest.mark.timeout(1800)]


@pytest.fixture
def recipe(pico_checkpoints: tuple[Path, Path], tmp_path: Path) -> Path:
    """A merge and two measurements, in seconds."""
    a, b = pico_checkpoints
    path = tmp_path / "pico.yaml"
    content = {
        "name": "pico",
        "sources": [{"name": "a", "model": str(a)}, {"name": "b", "model": str(b)}],
        "merge": {"method": "slerp", "base": "a", "models": [{"source": "a"}, {"source": "b"}], "t": 0.5},
        "gguf": {"quantize": ["Q8_0"]},
        "benchmark": {
            "perplexity": {"texts": [{"text": "builtin:code"}], "chunks": 4, "context": 32},
            "capability": {"tests": ["exact-instruction"], "context": 512, "max_tokens": 16},
        },
    }
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


Start = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def start(recipe: Path) -> Generator[Start]:
    """Starts the command with values of `merge.t`."""
    started: list[subprocess.Popen[str]] = []

    def begin(values: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "suture", "sweep", str(recipe), "--set", f"merge.t={values}"]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(argv, cwd=CHECKOUT, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, said = process.communicate(timeout=PATIENCE)
    return process.returncode, out, said


def runs(up: Up, flow: str) -> list[dict[str, Any]]:
    return post(up.api, "/flow_runs/filter", {"flows": {"name": {"any_": [flow]}}})


def comparison(store: Store) -> SweepData:
    (file,) = store.root.glob("sweeps/*/sweep.json")
    return SweepData.model_validate_json(file.read_bytes())


def test_alone_one_after_the_other(start: Start, store: Store) -> None:
    status, out, said = finish(start("0.25,0.75"))
    assert status == 0, said
    assert "2 runs, 0 of them finished already." in said
    data = comparison(store)
    assert [row.values for row in data.rows] == [("0.25",), ("0.75",)]
    assert all(row.perplexity and row.run for row in data.rows)
    assert "Comparison: " in out
    assert [record.state for record in list_runs(store)] == ["completed"] * 2


def test_on_the_pool(recipe: Path, start: Start, store: Store, tmp_path: Path) -> None:
    with serving(tmp_path / "up.log") as up:
        queues = {queue["name"]: queue for queue in post(up.api, "/work_pools/cpu/queues/filter", {})}
        assert queues["default"]["concurrency_limit"] >= 2
        assert queues["light"]["concurrency_limit"] is None

        stopped = start("0.1,0.9")
        wait_until(lambda: any(run["state"]["type"] == "RUNNING" for run in runs(up, "build_model")), PATIENCE)
        stopped.send_signal(signal.SIGINT)
        assert finish(stopped)[0] == 130
        wait_until(lambda: {run["state"]["type"] for run in runs(up, "build_model")} == {"CANCELLED"}, PATIENCE)
        before = len(runs(up, "build_model"))
        assert before == 2

        status, _, said = finish(start("0.1,0.9"))
        assert status == 0, said
        made = [run for run in runs(up, "build_model") if run["state"]["type"] == "COMPLETED"]
        assert len(made) == 2
        name = comparison(store).name
        assert all(f"sweep:{name}" in run["tags"] for run in made)

        status, _, said = finish(start("0.1,0.9"))
        assert (status, len(runs(up, "build_model"))) == (0, before + 2), said
        assert "2 runs, 2 of them finished already." in said

        from_form(up, recipe, ["0.1", "0.9", "0.5"])
        (swept,) = runs(up, "sweep")
        assert swept["state"]["type"] == "COMPLETED", swept["state"]["message"]
        assert swept["work_queue_name"] == "light"
        assert len(runs(up, "build_model")) == before + 3
        (child,) = [run for run in runs(up, "build_model") if run["parent_task_run_id"]]
        assert child["state"]["type"] == "COMPLETED"
        found = post(up.api, "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [swept["id"]]}}})
        table = next(artifact for artifact in found if artifact["key"] == "sweep-pico")
        assert [row["merge.t"] for row in json.loads(table["data"])] == ["0.1", "0.9", "0.5"]


def from_form(up: Up, recipe: Path, values: list[str]) -> None:
    """Start a sweep as the form does, and wait for its end."""
    asked = read_sweep(recipe, [f"merge.t={','.join(values)}"]).model_dump(mode="json")
    (deployment,) = post(up.api, "/deployments/filter", {"flows": {"name": {"any_": ["sweep"]}}})
    body = {"parameters": {"sweep": asked}, "state": {"type": "SCHEDULED"}}
    post(up.api, f"/deployments/{deployment['id']}/create_flow_run", body)
    over = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
    wait_until(lambda: runs(up, "sweep")[0]["state"]["type"] in over, PATIENCE)
