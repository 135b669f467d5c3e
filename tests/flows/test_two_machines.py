"""A workstation and a GPU box with nothing in common but two addresses: the server's, and that of a bucket.

The GPU box is a network namespace with a store, a state and a cable of its own. The bucket is that of a real
S3-compatible server, behind a gate that counts what passes.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from suture.plan import resolve
from suture.recipe import Recipe, load_recipe
from suture.store import Store
from tests import s3
from tests.flows.serving import CHECKOUT, Up, serving, wait_until

WORKSTATION, GPU_BOX = "10.213.7.1", "10.213.7.2"
LOGIN = ("suture", "of-this-test")


@dataclass(frozen=True)
class Cable:
    """The GPU box's only way to the rest."""

    namespace: str
    end: str

    def inside(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, *command]

    def is_plugged(self, state: str) -> None:
        subprocess.run(["ip", "link", "set", self.end, state], check=True)


@pytest.fixture
def cable() -> Generator[Cable]:
    name = f"st{secrets.token_hex(3)}"
    if os.geteuid() != 0 or subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make a network namespace")
    cable = Cable(name, f"{name}-w")
    inside = f"{name}-g"
    try:
        for command in (
            f"ip link add {cable.end} type veth peer name {inside} netns {name}",
            f"ip addr add {WORKSTATION}/30 dev {cable.end}",
            f"ip link set {cable.end} up",
            f"ip -n {name} addr add {GPU_BOX}/30 dev {inside}",
            f"ip -n {name} link set {inside} up",
            f"ip -n {name} link set lo up",
        ):
            subprocess.run(command.split(), check=True)
        yield cable
    finally:
        subprocess.run(["ip", "link", "del", cable.end], check=False)
        subprocess.run(["ip", "netns", "del", name], check=False)


@pytest.fixture
def bucket(cable: Cable, tmp_path: Path) -> Generator[s3.Gate]:
    assert cable
    (tmp_path / "weed").mkdir()
    with s3.weed(tmp_path / "weed") as port, s3.gate(port, WORKSTATION) as gate:
        yield gate


@pytest.fixture
def recipe(pico_recipe: Path) -> Recipe:
    content = yaml.safe_load(pico_recipe.read_text())
    content["heal"] |= {"control": False, "steps": 6}
    pico_recipe.write_text(yaml.safe_dump(content))
    return load_recipe(pico_recipe)


@pytest.fixture
def up(bucket: s3.Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Up]:
    """The workstation."""
    workstation = bucket.environment() | {
        "SUTURE_REMOTE": f"s3://{s3.BUCKET}/store",
        "PREFECT_API_AUTH_STRING": ":".join(LOGIN),
        "no_proxy": f"{WORKSTATION},127.0.0.1",
    }
    for name, value in workstation.items():
        monkeypatch.setenv(name, value)
    with serving(tmp_path / "up.log", "--host", "0.0.0.0", "--no-gpu-worker") as running:  # noqa: S104
        yield running


@pytest.fixture
def worker(up: Up, cable: Cable, tmp_path: Path) -> Generator[Store]:
    """The GPU box: its store."""
    port = up.address.rpartition(":")[2]
    environment = os.environ | {"SUTURE_STORE": str(tmp_path / "gpu"), "SUTURE_STATE": str(tmp_path / "gpu-state")}
    environment.pop("SUTURE_REMOTE")
    command = [sys.executable, "-m", "suture", "worker", "--pool", "gpu", "--server", f"http://{WORKSTATION}:{port}"]
    command = cable.inside(*command, "--remote", f"s3://{s3.BUCKET}/store")
    log = tmp_path / "worker.log"
    with (
        log.open("wb") as sink,
        subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=sink, stderr=sink) as process,
    ):
        try:
            wait_until(lambda: b"started" in log.read_bytes() or process.poll() is not None, 120)
            assert process.poll() is None, log.read_text()
            yield Store(tmp_path / "gpu")
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()


@pytest.fixture
def ask(up: Up) -> Callable[..., Any]:
    def post(path: str, **body: Any) -> Any:
        answer = httpx.post(f"{up.api}{path}", json=body, auth=LOGIN, trust_env=False, timeout=60)
        answer.raise_for_status()
        return answer.json()

    return post


def state_of(ask: Callable[..., Any], run: str) -> str:
    (found,) = ask("/flow_runs/filter", flow_runs={"id": {"any_": [run]}})
    return found["state"]["type"]


def trainers(store: Store) -> list[int]:
    """The training processes of the GPU box."""
    mark = f"SUTURE_STORE={store.root}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and b"suture.heal" in (folder / "cmdline").read_bytes():
                found += [int(folder.name)] if mark in (folder / "environ").read_bytes().split(b"\0") else []
    return found


@pytest.mark.usefixtures("toolchain")
def test_heal_on_another_machine_whose_network_goes_and_comes(
    ask: Callable[..., Any], worker: Store, cable: Cable, bucket: s3.Gate, recipe: Recipe, store: Store
) -> None:
    plan = resolve(recipe)
    heal = next(step for step in plan.steps if step.step == "heal")
    (deployment,) = ask("/deployments/filter", deployments={"name": {"any_": ["build-model"]}})
    parameters = {"recipe": recipe.model_dump(mode="json")}
    run = ask(f"/deployments/{deployment['id']}/create_flow_run", parameters=parameters, state={"type": "SCHEDULED"})[
        "id"
    ]

    scratch = worker.partial / heal.key / "scratch"
    wait_until(lambda: any(scratch.glob("checkpoint-*/complete.json")), 300)
    training = trainers(worker)
    for process in training:
        os.kill(process, signal.SIGSTOP)
    assert not worker.has(heal.key)
    cable.is_plugged("down")
    for process in training:
        os.kill(process, signal.SIGCONT)
    wait_until(lambda: worker.has(heal.key), 300)
    time.sleep(5)  # the adapter is made, and nobody can be told
    assert state_of(ask, run) == "RUNNING"
    assert not store.has(heal.key)
    cable.is_plugged("up")
    wait_until(lambda: state_of(ask, run) in ("COMPLETED", "FAILED", "CRASHED"), 400)
    assert state_of(ask, run) == "COMPLETED"

    children = ask("/flow_runs/filter", flow_runs={"tags": {"all_": [f"heal-{heal.key[:16]}"]}})
    assert [child["work_pool_name"] for child in children] == ["gpu"]
    assert children[0]["state"]["type"] == "COMPLETED"
    made = store.load(heal.key).manifest
    assert made == worker.load(heal.key).manifest
    parents = {parent.key for parent in heal.parents}
    assert set(worker.list_keys()) == parents | {heal.key}, "it needs what it trains on, and nothing else"
    assert crossings(bucket, store, parents | {heal.key}) == {}
    assert not trainers(worker)


def crossings(bucket: s3.Gate, store: Store, shared: set[str]) -> dict[str, tuple[int, int]]:
    """Return the files that did not cross once: bytes written to the bucket, and read from it.

    Everything is written once; what the heal trains on and what it makes is read once, by the other machine.
    """
    wrong = {}
    for key in store.list_keys():
        for entry in store.load(key).manifest.files:
            name = f"{key}/{entry.path}"
            counted = (bucket.received(name), bucket.sent(name))
            if counted != (entry.size, entry.size if key in shared else 0):
                wrong[name] = counted
    return wrong
