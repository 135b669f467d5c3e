"""The server's part of `suture doctor`: against the managed server, a stranger's, and none."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path

import pytest

from deployments import doctor
from deployments.server import Server
from suture.doctor import examine

OURS = metadata.version("prefect")


@contextmanager
def answering(version: str, status: int = 200) -> Generator[str]:
    """A server that says it is Prefect of some version; yields its API's address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(version).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda api: monkeypatch.setenv("PREFECT_API_URL", api)


def test_the_managed_server(server: Server) -> None:
    found = examine(doctor.CHECKS, 60)
    assert {name: each.state for name, each in found.items() if name != "workers"} == dict.fromkeys(
        ("database", "server", "clock"), "ok"
    ), found
    assert found["server"].found == f"{server.api}, Prefect {OURS}"
    assert found["database"].found.startswith("postgres (PostgreSQL) 18")


def test_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: Callable[[str], None]) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))  # a profile of the user's own may name one
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    found = doctor.look()
    assert {name: each.state for name, each in found.items()} == {
        "database": "ok",
        "server": "warning",
        "workers": "ok",
        "clock": "ok",
    }
    assert found["server"].mend == "suture up"
    asked("http://127.0.0.1:9/api")  # named, and nobody there
    assert doctor.look()["server"].state == "broken"


@pytest.mark.parametrize(
    ("version", "status", "state", "said"),
    [
        (OURS, 200, "ok", f"Prefect {OURS}"),
        ("3.8.2", 200, "warning", "is Prefect 3.8.2"),
        ("3.9.1", 200, "broken", "is Prefect 3.9.1"),
        (OURS, 401, "broken", "refuses our login"),
        (OURS, 503, "broken", "status 503"),
    ],
)
def test_a_server_of_another_version(
    asked: Callable[[str], None], version: str, status: int, state: str, said: str
) -> None:
    with answering(version, status) as api:
        asked(api)
        found = doctor.check_server()
    assert found.state == state
    assert said in found.found
    assert bool(found.mend) == (state != "ok")


def test_a_clock_that_is_wrong() -> None:
    assert doctor.judge_clock(1000.0, formatdate(998.0, usegmt=True)).state == "ok"
    assert doctor.judge_clock(1000.0, formatdate(2000.0, usegmt=True)).found.startswith("1000 s behind")
    assert doctor.judge_clock(2000.0, formatdate(1000.0, usegmt=True)).found.startswith("1000 s ahead of")


def test_pools_without_workers() -> None:
    online, away = {"is_paused": False, "status": "READY"}, {"is_paused": False, "status": "NOT_READY"}
    elsewhere = "http://192.0.2.1:4200/api"
    assert doctor.judge_pools(elsewhere, {"cpu": online, "gpu": away}, has_gpu=False).state == "ok"
    lacking = doctor.judge_pools(elsewhere, {"cpu": online, "gpu": away}, has_gpu=True)
    assert lacking.mend == "suture worker --pool gpu --server http://192.0.2.1:4200"
    assert doctor.judge_pools(elsewhere, {"cpu": away}, has_gpu=False).state == "warning"
    assert doctor.judge_pools("http://127.0.0.1:4200/api", {}, has_gpu=False).mend == "suture up"
