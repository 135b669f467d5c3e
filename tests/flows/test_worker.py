"""The worker of another machine: what it says when it cannot serve, and the pools it makes."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
from collections.abc import Callable, Generator
from typing import Any

import httpx
import pytest

from deployments.deploy import deploy_to
from deployments.history import end_lost_runs
from deployments.server import Server
from deployments.state import AWAY, GPU_POOL, POOL, POOLS, post, state_of_this_machine, worker_name
from deployments.worker import become_worker, make_pools
from suture.errors import HostError, TransientError


class Locked(http.server.BaseHTTPRequestHandler):
    """A server that wants a login."""

    def do_GET(self) -> None:
        right = self.headers.get("Authorization") == "Basic YTpi"  # a:b
        self.send_response(404 if right else 401)
        self.end_headers()

    def do_POST(self) -> None:
        self.send_response(201)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Cut(Locked):
    """A server that is killed in the middle of what it answers to a POST."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_POST(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "9")
        self.end_headers()
        self.wfile.write(b"[")


@contextlib.contextmanager
def listening(handler: type[http.server.BaseHTTPRequestHandler]) -> Generator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def locked() -> Generator[str]:
    with listening(Locked) as address:
        yield address


def test_server_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(HostError, match="No Prefect server answers") as caught:
        become_worker("gpu", f"http://127.0.0.1:{port}/")
    assert caught.value.where == f"http://127.0.0.1:{port}/api"


def test_address_that_is_none() -> None:
    with pytest.raises(HostError, match="No Prefect server answers"):
        become_worker("gpu", "workstation:4200")


def test_login(locked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_AUTH_STRING", raising=False)
    with pytest.raises(HostError, match="wants a login") as caught:
        become_worker("gpu", locked)
    assert "PREFECT_API_AUTH_STRING" in str(caught.value)
    state = state_of_this_machine()
    state.make()
    state.write_login("a:b")
    with pytest.raises(HostError, match="wants a login"):  # ours is for our own server, and sent to no other
        become_worker("gpu", locked)
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "a:b")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # not the way to any server
    make_pools(f"{locked.replace('127.0.0.1', 'localhost')}/api", ["gpu"])


def test_server_that_goes_away_meanwhile() -> None:
    with listening(Cut) as address:
        with pytest.raises(AWAY):
            post(address, "/flows/filter", {})
        with pytest.raises(TransientError, match="went away"):
            deploy_to(address)


def test_pools_are_made_once_and_left_as_they_are(server: Server, ask: Callable[..., Any]) -> None:
    make_pools(server.api, ["gpu", "cpu"])
    ask("/work_pools/", name="mine", type="process", concurrency_limit=3)
    make_pools(server.api, ["gpu", "cpu", "mine"])
    found = {pool["name"]: pool["concurrency_limit"] for pool in ask("/work_pools/filter")}
    assert found == {"gpu": 1, "cpu": None, "mine": 3}


def test_runs_of_the_workers_of_others_are_left_alone(server: Server, ask: Callable[..., Any]) -> None:
    make_pools(server.api, list(POOLS))
    flow = ask("/flows/", name="toy")["id"]
    runs = {
        pool: ask("/flow_runs/", flow_id=flow, name="toy", state={"type": "RUNNING"}, work_pool_name=pool)["id"]
        for pool in POOLS
    }
    for pool, worker in ((POOL, worker_name()), (GPU_POOL, worker_name()), (GPU_POOL, f"another-{worker_name()}")):
        httpx.post(f"{server.api}/work_pools/{pool}/workers/heartbeat", json={"name": worker}).raise_for_status()
    assert end_lost_runs(server.api, list(POOLS)) == 1
    found = {run["id"]: run["state"]["type"] for run in ask("/flow_runs/filter")}
    assert [found[runs[pool]] for pool in (POOL, GPU_POOL)] == ["CRASHED", "RUNNING"]
    ask(f"/flow_runs/{runs[GPU_POOL]}/set_state", state={"type": "COMPLETED"}, force=True)
