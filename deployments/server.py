"""A Prefect server to work with: the user's own if one answers, else the managed one of this machine."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from deployments.environment import HEARTBEAT_SECONDS, prefect_environment
from deployments.hosts import HOST, is_free
from deployments.state import (
    Address,
    StateFolder,
    answers,
    state_of_this_machine,
)
from suture.errors import HostError, ProcessError, TransientError
from suture.process import start_process, tail
from suture.store import locks

_START_SECONDS = 240
"""A first start takes 10 s on two idle cores, and minutes on a busy machine."""

_END_SECONDS = 20

_LOOK_SECONDS = 1.0
"""Between two looks whether the guardian lives."""


@dataclass(frozen=True)
class Server:
    """A Prefect server that answers.

    Attributes:
        api: Address of its API.
        ui: Address of its pages.
        environment: What a process that talks to it needs in its environment.
        notice: What its users should know.
    """

    api: str
    ui: str
    environment: Mapping[str, str]
    notice: str = ""


def outside_server() -> Server | None:
    """Return the server that PREFECT_API_URL names, in the environment or in the active profile, if it answers."""
    api = os.environ.get("PREFECT_API_URL") or _profile_url()
    if not api or state_of_this_machine().is_managed(api) or not answers(api.rstrip("/")):
        return None
    api = api.rstrip("/")
    environment = {
        "PREFECT_API_URL": api,
        "DO_NOT_TRACK": "1",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": HEARTBEAT_SECONDS,
    }
    return Server(api, api.removesuffix("/api"), environment)


@contextlib.contextmanager
def managed_server(
    port: int | None = None, meanwhile: Callable[[], object] = lambda: None, host: str = HOST
) -> Generator[Server]:
    """Use the managed server while the block runs, starting it if it is not up.

    Args:
        port: Where it must be; anywhere when None.
        meanwhile: Called once while it starts, for work that needs no server yet, such as imports.
        host: IP address that it listens on if it is started here.

    Raises:
        HostError: When the port is taken, or the server is already up at another one.
        TransientError: When it does not come up.
    """
    state = state_of_this_machine()
    if port is not None:
        require_port(state, port, host)
    state.make()
    with contextlib.ExitStack() as stack:
        stack.callback(_await_end, state)  # after the lease is given back
        stack.enter_context(locks.locked(state.lease, shared=True))
        address = _start(state, port, meanwhile, host)
        if port is not None and (address.host, address.port) != (host, port):
            raise elsewhere(address, port, host)
        stack.enter_context(locks.locked(state.users, shared=True))
        stack.enter_context(_kept_up(state, address))
        yield Server(address.api, address.ui, prefect_environment(state, address.api), address.notice)


@contextlib.contextmanager
def _kept_up(state: StateFolder, address: Address) -> Generator[None]:
    """Start the guardian again, at the same address, when it is killed under the block."""
    left = threading.Event()

    def watch() -> None:
        while not left.wait(_LOOK_SECONDS):
            if not locks.is_locked(state.guardian):
                # Its log tells why it does not start, such as a disk without room; the next look tries again.
                with contextlib.suppress(TransientError, ProcessError, OSError):
                    _start(state, address.port, left.is_set, address.host)

    watcher = threading.Thread(target=watch, daemon=True, name="server")
    watcher.start()
    try:
        yield
    finally:
        left.set()
        watcher.join()


def _start(state: StateFolder, port: int | None, meanwhile: Callable[[], object], host: str) -> Address:
    deadline = time.monotonic() + _START_SECONDS
    log = state.log("guardian")
    command = [sys.executable, "-P", "-m", "deployments.guardian", "--host", host]
    command += [] if port is None else ["--port", str(port)]
    while (address := answering(state)) is None:
        with start_process(command, log=log, env=prefect_environment(state, ""), lives_on=True) as launcher:
            meanwhile()
            while launcher.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
        if launcher.returncode != 0 or time.monotonic() > deadline:
            raise TransientError("The Prefect server does not start.", where=log, found=tail(log))
        time.sleep(0.1)  # another client's guardian may be starting, or one may be shutting down
    return address


def answering(state: StateFolder) -> Address | None:
    """Return where the managed server answers; what a killed guardian left is nobody's address."""
    address = state.read_address()
    return address if address and locks.is_locked(state.guardian) and answers(address.api) else None


def _await_end(state: StateFolder) -> None:
    """Wait for the server's end if nobody else uses it, so that a command that returned left nothing running."""
    with contextlib.suppress(TimeoutError):
        _wait(lambda: state.read_address() is None, seconds=2)  # it stays when others use it
        _wait(lambda: not locks.is_locked(state.guardian), seconds=_END_SECONDS)


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.05)


def require_port(state: StateFolder, port: int, host: str = HOST) -> None:
    """Refuse a port that the managed server neither has nor can get.

    Raises:
        HostError: When the port is taken, or the server is already up at another one.
    """
    with contextlib.suppress(TimeoutError):  # a guardian that is shutting down, or is only starting, has the port
        _wait(lambda: answering(state) is not None or not locks.is_locked(state.guardian), seconds=_END_SECONDS)
    address = answering(state)
    if address is not None and (address.host, address.port) != (host, port):
        raise elsewhere(address, port, host)
    if address is None and not is_free(port, host):
        raise HostError(
            f"Port {port} is taken.",
            where=host,
            expected="a port that nobody listens on",
            way_out=f"Choose another: `suture up --port {port + 1}`.",
        )


def elsewhere(address: Address, port: int, host: str) -> HostError:
    """Return the error for a server that is up at another address or port than the wanted one."""
    return HostError(
        "The server is already up at another port or address; a run or another `suture up` is using it.",
        where=address.ui,
        expected=f"port {port} of {host}",
        found=f"port {address.port} of {address.host}",
        way_out=f"Use it as it is (`suture up --host {address.host} --port {address.port}`), "
        "or start again when they have ended.",
    )


def _profile_url() -> str | None:
    """Return PREFECT_API_URL of Prefect's active profile, without the second that importing Prefect takes."""
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    try:
        profiles = tomllib.loads((home / "profiles.toml").read_text())
    except (OSError, tomllib.TOMLDecodeError):
        return None
    active = os.environ.get("PREFECT_PROFILE", profiles.get("active", ""))
    return profiles.get("profiles", {}).get(active, {}).get("PREFECT_API_URL")
