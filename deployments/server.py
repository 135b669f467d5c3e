"""A Prefect server to work with: the user's own if one answers, else the managed one of this machine."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import tomllib
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from deployments.state import (
    Address,
    StateFolder,
    answers,
    is_free,
    prefect_environment,
    state_of_this_machine,
)
from suture.errors import HostError, TransientError
from suture.process import start_process, tail
from suture.store import locks

_START_SECONDS = 240
"""A first start takes 10 s on two idle cores, and minutes on a busy machine."""

_END_SECONDS = 20


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
    if not api or _is_managed(api) or not answers(api.rstrip("/")):
        return None
    api = api.rstrip("/")
    return Server(api, api.removesuffix("/api"), {"PREFECT_API_URL": api, "DO_NOT_TRACK": "1"})


@contextlib.contextmanager
def managed_server(port: int | None = None, meanwhile: Callable[[], object] = lambda: None) -> Generator[Server]:
    """Use the managed server while the block runs, starting it if it is not up.

    Args:
        port: Where it must be; anywhere when None.
        meanwhile: Called once while it starts, for work that needs no server yet, such as imports.

    Raises:
        HostError: When the port is taken, or the server is already up at another one.
        TransientError: When it does not come up.
    """
    state = state_of_this_machine()
    if port is not None:
        require_port(state, port)
    state.make()
    with contextlib.ExitStack() as stack:
        stack.callback(_await_end, state)  # after the lease is given back
        stack.enter_context(locks.locked(state.lease, shared=True))
        address = _start(state, port, meanwhile)
        if port is not None and address.port != port:
            raise elsewhere(address, port)
        stack.enter_context(locks.locked(state.users, shared=True))
        yield Server(address.api, address.ui, prefect_environment(state, address.api), address.notice)


def _start(state: StateFolder, port: int | None, meanwhile: Callable[[], object]) -> Address:
    deadline = time.monotonic() + _START_SECONDS
    log = state.log("guardian")
    command = [sys.executable, "-P", "-m", "deployments.guardian", *(() if port is None else ("--port", str(port)))]
    while (address := answering(state)) is None:
        with start_process(command, log=log, env=prefect_environment(state, "")) as launcher:
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


def require_port(state: StateFolder, port: int) -> None:
    """Refuse a port that the managed server neither has nor can get.

    Raises:
        HostError: When the port is taken, or the server is already up at another one.
    """
    address = answering(state)
    if address is not None and address.port != port:
        raise elsewhere(address, port)
    if address is None and not is_free(port):
        raise HostError(
            f"Port {port} is taken.",
            where="127.0.0.1",
            expected="a port that nobody listens on",
            way_out=f"Choose another: `suture up --port {port + 1}`.",
        )


def elsewhere(address: Address, port: int) -> HostError:
    """Return the error for a server that is up at another port than the wanted one."""
    return HostError(
        "The server is already up at another port; a run or another `suture up` is using it.",
        where=address.ui,
        expected=f"port {port}",
        found=f"port {address.port}",
        way_out=f"Use it as it is (`suture up --port {address.port}`), or start again when they have ended.",
    )


def _is_managed(api: str) -> bool:
    address = state_of_this_machine().read_address()
    return address is not None and address.api == api.rstrip("/")


def _profile_url() -> str | None:
    """Return PREFECT_API_URL of Prefect's active profile, without the second that importing Prefect takes."""
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    try:
        profiles = tomllib.loads((home / "profiles.toml").read_text())
    except (OSError, tomllib.TOMLDecodeError):
        return None
    active = os.environ.get("PREFECT_PROFILE", profiles.get("active", ""))
    return profiles.get("profiles", {}).get(active, {}).get("PREFECT_API_URL")
