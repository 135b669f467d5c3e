"""The worker of another machine: what it says when it cannot serve, and the pools it makes."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Callable, Generator
from typing import Any

import pytest

from deployments.server import Server
from deployments.worker import become_worker, make_pools
from suture.errors import HostError


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


@pytest.fixture
def locked() -> Generator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Locked) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


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
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "a:b")
    make_pools(f"{locked}/api", ["gpu"])


def test_pools_are_made_once_and_left_as_they_are(server: Server, ask: Callable[..., Any]) -> None:
    make_pools(server.api, ["gpu", "cpu"])
    ask("/work_pools/", name="mine", type="process", concurrency_limit=3)
    make_pools(server.api, ["gpu", "cpu", "mine"])
    found = {pool["name"]: pool["concurrency_limit"] for pool in ask("/work_pools/filter")}
    assert found == {"gpu": 1, "cpu": None, "mine": 3}
