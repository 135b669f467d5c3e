"""Kill -9, again and again, of whatever runs: none ends in a lie, all finish on retry, and nothing is left behind.

SUTURE_TEST_KILLS is how many kills there are, SUTURE_TEST_SEED which ones; a line per kill says what came of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from deployments.state import post
from suture.progress import Silent
from suture.store import Store
from suture.store.collect import collect, sweep
from suture.store.fsck import fsck
from suture.store.runs import RunRecord, list_runs
from tests.flows.serving import CHECKOUT, processes, wait_until

pytestmark = pytest.mark.usefixtures("toolchain")

KILLS = int(os.environ.get("SUTURE_TEST_KILLS", "4"))
SEED = int(os.environ.get("SUTURE_TEST_SEED", "20261129"))

PAUSE_SECONDS = 30
"""Before each kill, at most: about as long as what was killed takes to be back on a busy machine."""

MENDED_SECONDS = 30
"""How long a wrong end may stand, at most."""

VICTIMS = {
    "up": "-m deployments up",
    "guardian": "deployments.guardian",
    "server": "deployments.app",
    "database": "bin/postgres",
    "worker cpu": "worker start --pool cpu",
    "worker gpu": "worker start --pool gpu",
    "flow": "deployments.execute",
}
"""What can be killed -> what its command line holds; besides a connection of the database, and a child of a flow."""

ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}

RECORDED = {"COMPLETED": {"completed"}, "FAILED": {"failed"}, "CRASHED": {"interrupted", "failed", "completed"}}
"""State of a run -> of its last record. One that was killed after its last step says so, and had completed."""


Tell = Callable[[str], None]


class Suture:
    """`suture up`, at one port for the length of the test; started again whenever it was killed."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.api = f"http://127.0.0.1:{self._port}/api"
        self.log = folder / "up.log"
        self.log.touch()
        self._process: subprocess.Popen[bytes] | None = None
        self.killed = False
        self._size = 0

    def start(self) -> None:
        command = [sys.executable, "-m", "deployments", "up", "--port", str(self._port), "--gpu-worker"]
        with self.log.open("ab") as sink:
            self._process = subprocess.Popen(command, cwd=CHECKOUT, stdout=sink, stderr=sink)
        self.killed = False
        self._size = self.log.stat().st_size

    def keep(self) -> None:
        """Start it again if it has ended, as systemd would; once it was up it does not end by itself."""
        assert self._process is not None
        if self._process.poll() is not None:
            said = self.log.read_text()[self._size :]
            assert self.killed or "Ctrl-C stops it" not in said, f"it ended by itself: {said}"
            self.start()

    def stop(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(60)
        self._process.kill()
        self._process.wait()

    def ask(self, path: str, **body: Any) -> Any:
        """Return the server's answer; None while it is away."""
        with contextlib.suppress(OSError, httpx.HTTPError, json.JSONDecodeError):
            return post(self.api, path, body)
        return None

    def insist(self, path: str, **body: Any) -> Any:
        """Ask until there is an answer."""
        deadline = time.monotonic() + 300
        while (answer := self.ask(path, **body)) is None:
            assert time.monotonic() < deadline, f"no answer: {self.log.read_text()[-4000:]}"
            self.keep()
            time.sleep(0.2)
        return answer

    def runs(self, **filters: Any) -> list[dict[str, Any]]:
        return self.insist("/flow_runs/filter", flow_runs=filters)


@pytest.fixture
def suture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Suture]:
    monkeypatch.setenv("SUTURE_THREADS", "1")  # on a busy machine two that wait for each other are much slower
    suture = Suture(tmp_path)
    suture.start()
    try:
        yield suture
    finally:
        suture.stop()


@pytest.fixture
def start(suture: Suture, pico_recipe: Path) -> Any:
    """Starts a run whose training, and all that follows it, no run has made yet."""
    recipe = yaml.safe_load(pico_recipe.read_text())
    recipe["benchmark"]["capability"]["tests"] = ["exact-instruction"]
    recipe["heal"] |= {"control": False, "steps": 6, "checkpoint_every": 2}

    def ready() -> dict[str, Any] | None:
        suture.keep()
        found = suture.ask("/deployments/filter", flows={"name": {"any_": ["build_model"]}})
        return found[0] if found else None

    def run(seed: int) -> str:
        wait_until(lambda: ready() is not None, 300)
        (deployment,) = suture.insist("/deployments/filter", flows={"name": {"any_": ["build_model"]}})
        body = {"parameters": {"recipe": recipe | {"heal": recipe["heal"] | {"seed": seed}}}}
        body["state"] = {"type": "SCHEDULED"}
        return suture.insist(f"/deployments/{deployment['id']}/create_flow_run", **body)["id"]

    return run


def retry(suture: Suture, run: str) -> None:
    """Do what the pages' button does."""
    state = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"}
    suture.insist(f"/flow_runs/{run}/set_state", state=state)


def candidates() -> dict[str, list[int]]:
    """What can be killed now."""
    found: dict[str, list[int]] = {}
    for pid, command in processes().items():
        name = next((name for name, words in VICTIMS.items() if words in command), None)
        if name is None and is_of_run(pid):
            name = "child"
        if name is not None:
            found.setdefault(name, []).append(pid)
        if name == "database":
            found["connection"] = children(pid)
    return {name: pids for name, pids in found.items() if pids}


def children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def is_of_run(pid: int, run: str = "") -> bool:
    with contextlib.suppress(OSError):
        return f"PREFECT__FLOW_RUN_ID={run}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    return False


def kill(suture: Suture, chance: random.Random, most: int) -> list[str]:
    """Kill one process of each of some kinds that there are; returns of which kinds.

    `up` itself only once it has started its workers: being there first, it would be killed at every start, and all
    else seldom.
    """
    found = candidates()
    if "worker cpu" not in found:
        found.pop("up", None)
    killed = []
    for victim in chance.sample(sorted(found), min(len(found), most)):
        with contextlib.suppress(ProcessLookupError):
            suture.killed = suture.killed or victim == "up"
            os.kill(chance.choice(found[victim]), signal.SIGKILL)
            killed.append(victim)
    return killed


def last_record(store: Store, run: str) -> RunRecord | None:
    return next((record for record in list_runs(store) if record.flow_run == run), None)


def follow(suture: Suture, run: str, seconds: float = 600) -> dict[str, Any] | None:
    """Wait for a run's end so long; returns its state, None while it goes on.

    A run that is said to have crashed and has a process is about to be said to live.
    """
    deadline, ended = time.monotonic() + seconds, 0.0
    while time.monotonic() < deadline:
        suture.keep()
        found = suture.ask("/flow_runs/filter", flow_runs={"id": {"any_": [run]}})
        if found and found[0]["state"]["type"] in ENDED:
            ended = ended or time.monotonic()
            if time.monotonic() - ended > MENDED_SECONDS or not any(is_of_run(pid, run) for pid in processes()):
                return found[0]["state"]
        elif found:
            ended = 0.0
        time.sleep(0.3)
    return None


def check_truth(store: Store, run: str, state: dict[str, Any] | None, begun: float) -> None:
    """Check that a run has ended and has no process, and that the store says the same of it as the server."""
    assert state is not None, f"a run that does not end: {processes()}"
    deadline = time.monotonic() + 30
    while left := {pid: command for pid, command in processes().items() if is_of_run(pid, run)}:
        assert time.monotonic() < deadline, f"processes of a run that is {state['name']}: {left}"
        time.sleep(0.3)
    record = last_record(store, run)
    if record is not None and record.started.timestamp() > begun:
        assert record.state in RECORDED[state["type"]], (record, state)
    if state["type"] == "COMPLETED":
        assert record is not None
        assert [key for key in record.keys if store.find(key) is None] == []
        assert (store.runs / record.run / "report.html").exists()
    else:
        assert state["message"], state


def runs_in_progress(suture: Suture) -> list[str]:
    suture.keep()
    return [f"{run['name']}: {run['state']['name']}" for run in suture.runs() if run["state"]["type"] not in ENDED]


def kill_again_and_again(suture: Suture, run: str, chance: random.Random, kills: int, tell: Tell) -> list[str]:
    """Kill so often, at random moments, while a run goes on; returns what was killed."""
    killed: list[str] = []
    while len(killed) < kills and follow(suture, run, chance.uniform(0, PAUSE_SECONDS)) is None:
        now = kill(suture, chance, min(chance.choice([1, 1, 1, 2, 3]), kills - len(killed)))
        tell(f"killed {' and '.join(now)}")
        killed += now
    return killed


@pytest.mark.timeout(7200)
def test_killed_again_and_again(suture: Suture, store: Store, start: Any, capfd: pytest.CaptureFixture[str]) -> None:
    def tell(line: str) -> None:
        with capfd.disabled():
            print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)

    tell(f"SUTURE_TEST_SEED={SEED} SUTURE_TEST_KILLS={KILLS}")
    chance, counts, seed = random.Random(SEED), Counter[str](), 0
    while counts.total() < KILLS:
        seed += 1
        begun = time.time()
        run, left = start(seed), chance.randint(1, 20)
        while True:
            kills = min(left, KILLS - counts.total())
            killed = kill_again_and_again(suture, run, chance, kills, tell)
            left -= len(killed)
            counts.update(killed)
            state = follow(suture, run)
            check_truth(store, run, state, begun)
            assert state is not None
            said = f"{state['name']} ({state['message'] or ''!r:.120})"
            tell(f"{counts.total()}/{KILLS} run {seed}, {time.time() - begun:.0f} s: {', '.join(killed)}: {said}")
            if state["type"] == "COMPLETED":
                break
            begun = time.time()
            retry(suture, run)
    deadline = time.monotonic() + 300
    while going := runs_in_progress(suture):
        assert time.monotonic() < deadline, going
        time.sleep(1)
    states = Counter((run["deployment_id"] is not None, run["state"]["name"]) for run in suture.runs())
    tell(f"kills: {dict(counts)}; runs: {dict(states)}")

    assert fsck(store, Silent()) == []
    suture.stop()
    wait_until(lambda: processes() == {})
    assert collect(store, 1, dry_run=True).runs
    left_over = [folder.name for folder in store.partial.iterdir()]
    assert sorted(path.name for path in sweep(store, older_than=0)) == sorted(left_over)
    assert list(store.quarantine.iterdir()) == []
