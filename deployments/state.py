"""Where the server's things lie, and how to ask it anything. Imports nothing heavy: the guardian lives on it."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import json
import os
import pwd
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from deployments.hosts import HOST, address_of, is_ours
from suture.errors import HostError
from suture.settings import settings
from suture.store import durable, locks

POOL = "cpu"
"""The work pool whose worker runs on this machine, started by `up`."""

GPU_POOL = "gpu"
"""The work pool for trainings; its worker may run on another machine."""

POOLS: Mapping[str, int | None] = {POOL: None, GPU_POOL: 1}
"""Work pool -> how many of its runs may go on at once. One GPU holds one training."""

LOGIN = "PREFECT_API_AUTH_STRING"
"""Prefect's name for what a client logs in with: `user:password`."""

AWAY = (OSError, HTTPException)
"""What it raises to ask a server that is away, or was killed in the middle of its answer."""

LOGS = ("guardian", "server", "postgres", "worker-cpu", "worker-gpu", "deploy")
"""What keeps a log in the state folder."""

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens addresses of this machine: never through a proxy."""


class Address(BaseModel):
    """A managed server that is up."""

    model_config = ConfigDict(frozen=True)

    host: str = HOST
    """IP address that it listens on; 0.0.0.0 for all that this machine has."""
    port: int
    notice: str = ""
    """What its users should know, such as that it keeps its history in SQLite."""

    @property
    def ui(self) -> str:
        """Address of the pages, as this machine's processes use it."""
        return f"http://{HOST if self._is_everywhere else self.host}:{self.port}"

    @property
    def api(self) -> str:
        """Address of the API."""
        return f"{self.ui}/api"

    def is_at(self, url: str) -> bool:
        """Return whether a URL leads to it, by whichever of this machine's names."""
        leads_here = is_ours(url) if self._is_everywhere else address_of(url) == self.host
        return leads_here and urlsplit(url).netloc.endswith(f":{self.port}")

    @property
    def _is_everywhere(self) -> bool:
        return ipaddress.ip_address(self.host).is_unspecified


@dataclass(frozen=True)
class StateFolder:
    """The folder below SUTURE_STATE.

    Attributes:
        root: lease.lock      held shared by every client; who holds it alone may end the server
              users.lock      held shared by every client that is connected
              guardian.lock   held by the one guardian
              up.lock         held by the one `suture up`
              up.pid          its process id
              login           user:password of a server that other machines can reach; only its owner can read it
              server.json     Address of the server, while it is up
              postgres/       the database
              prefect/        PREFECT_HOME of all our processes; the user's own profile is left alone
              *.log           of the guardian, its server and its database, and of the workers
    """

    root: Path

    @property
    def lease(self) -> Path:
        """Lock file of the clients."""
        return self.root / "lease.lock"

    @property
    def users(self) -> Path:
        """Lock file of the clients that are connected: their runs are alive."""
        return self.root / "users.lock"

    @property
    def guardian(self) -> Path:
        """Lock file of the guardian."""
        return self.root / "guardian.lock"

    @property
    def up(self) -> Path:
        """Lock file of `suture up`."""
        return self.root / "up.lock"

    @property
    def choices(self) -> Path:
        """What users chose for the deployments, while these are deployed anew."""
        return self.root / "choices.json"

    def log(self, name: str) -> Path:
        """Return a log file; `LOGS` names them."""
        return self.root / f"{name}.log"

    def make(self) -> None:
        """Make the folder.

        Raises:
            HostError: When it cannot be made.
        """
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)  # logs and the database tell of the user's work
        except OSError as error:
            raise HostError(
                "The server's folder cannot be made.",
                where=self.root,
                found=error.strerror,
                way_out="Set SUTURE_STATE to a folder you can write to.",
            ) from error

    def read_address(self) -> Address | None:
        """Return where the server is meant to be; None after a clean end."""
        try:
            return Address.model_validate_json(self._address.read_bytes())
        except (OSError, ValidationError):
            return None

    def write_address(self, address: Address) -> None:
        """Tell the clients that the server is up."""
        durable.write_atomically(self._address, address.model_dump_json().encode())

    def forget_address(self) -> None:
        """Tell the clients that the server is up no more."""
        self._address.unlink(missing_ok=True)

    def is_managed(self, url: str) -> bool:
        """Return whether a URL leads to the server of this folder."""
        address = self.read_address()
        return address is not None and address.is_at(url)

    def read_holder(self) -> int | None:
        """Return the process id of `suture up`; None when it is not up."""
        if not locks.is_locked(self.up):
            return None
        with contextlib.suppress(OSError, ValueError):
            return int(self._holder.read_text())
        return None

    def write_holder(self, process: int) -> None:
        """Note the process id of the holder of `up.lock`."""
        durable.write_atomically(self._holder, str(process).encode())

    def read_login(self) -> str | None:
        """Return `user:password` of the server, None when it has never had one."""
        try:
            return self.login.read_text()
        except OSError:
            return None

    def require_login(self) -> str:
        """Return the login of a server that other machines can reach.

        Raises:
            HostError: When there is none, or it cannot be read: such a server never goes without.
        """
        login = self.read_login()
        if not login:
            raise HostError(
                "The server's login cannot be read.",
                where=self.login,
                way_out="Start again with `suture up --host ADDRESS`: it makes one.",
            )
        return login

    def write_login(self, login: str) -> None:
        """Note the server's login for this user's processes alone."""
        durable.write_atomically(self.login, login.encode(), mode=0o600)

    @property
    def login(self) -> Path:
        """Where the login lies."""
        return self.root / "login"

    @property
    def _address(self) -> Path:
        return self.root / "server.json"

    @property
    def _holder(self) -> Path:
        return self.root / "up.pid"


def worker_name() -> str:
    """Return what this user's workers on this machine are called: others on it have pools of their own."""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # in a container that was given a number
        user = str(os.geteuid())
    return f"{user}@{socket.gethostname()}"


def state_of_this_machine() -> StateFolder:
    """Return the folder that the settings name."""
    return StateFolder(settings().state)


def login_for(api: str, state: StateFolder) -> str | None:
    """Return `user:password` for a server: its own for the managed one, for others what the environment holds.

    Args:
        api: The server's; empty for the managed one that is to be started.
        state: Of this machine.
    """
    return state.read_login() if not api or state.is_managed(api) else os.environ.get(LOGIN)


def answers(api: str, timeout: float = 5.0) -> bool:
    """Return whether a Prefect server answers at this address."""
    opener = _direct if is_ours(api) else urllib.request.build_opener()
    try:
        with opener.open(f"{api}/health", timeout=timeout):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except (*AWAY, ValueError):
        return False


def post(api: str, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 -- any JSON
    """Tell or ask the managed server; importing Prefect's client for it would take a second."""
    return json.loads(_send("POST", f"{api}{path}", body))


def patch(api: str, path: str, body: Mapping[str, Any]) -> None:
    """Change something of the managed server's."""
    _send("PATCH", f"{api}{path}", body)


def _send(method: str, url: str, body: Mapping[str, Any]) -> bytes:
    headers = {"Content-Type": "application/json"}
    login = login_for(url, state_of_this_machine())
    if login:
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers, method=method)  # noqa: S310
    with _direct.open(request, timeout=120) as answer:  # a busy machine takes its time
        return answer.read()
