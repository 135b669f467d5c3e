"""Where the server's things lie, and how to ask it anything. Imports nothing heavy: the guardian lives on it."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import json
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

import suture
from suture.errors import HostError
from suture.settings import settings
from suture.store import durable, locks

HOST = "127.0.0.1"
"""Loopback: what the server listens on unless told otherwise, as it has no login then."""

POOL = "cpu"
"""The work pool whose worker runs on this machine, started by `up`."""

GPU_POOL = "gpu"
"""The work pool for trainings; its worker may run on another machine."""

POOLS: Mapping[str, int | None] = {POOL: None, GPU_POOL: 1}
"""Work pool -> how many of its runs may go on at once. One GPU holds one training."""

LOGS = ("guardian", "server", "postgres", "worker-cpu", "worker-gpu", "deploy")
"""What keeps a log in the state folder."""

HEARTBEAT_SECONDS = "30"
"""Between two signs of life of a run; Prefect takes no shorter time."""

_FOLDERS = {"SUTURE_STORE", "SUTURE_STATE", "SUTURE_CACHE", "SUTURE_LLAMA_CPP"}

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens addresses of this machine: never through a proxy."""


def is_loopback(host: str) -> bool:
    """Return whether an IP address can be reached from this machine alone."""
    return ipaddress.ip_address(host).is_loopback


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
        return f"http://{HOST if ipaddress.ip_address(self.host).is_unspecified else self.host}:{self.port}"

    @property
    def api(self) -> str:
        """Address of the API."""
        return f"{self.ui}/api"


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
            self.root.mkdir(parents=True, exist_ok=True)
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


def state_of_this_machine() -> StateFolder:
    """Return the folder that the settings name."""
    return StateFolder(settings().state)


def prefect_environment(state: StateFolder, api: str) -> dict[str, str]:
    """Return this process's environment as the managed server and its clients need it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_API_", "PREFECT_SERVER_", "PG")) and name != "PREFECT_PROFILE"
    }
    for name in _FOLDERS & kept.keys():
        kept[name] = str(Path(kept[name]).absolute())  # a flow run's working directory is not ours
    checkout = str(Path(suture.__file__).parents[1])
    hosts = dict.fromkeys([HOST, urlsplit(api).hostname or HOST])
    no_proxy = ",".join(filter(None, [kept.get("no_proxy") or kept.get("NO_PROXY"), *hosts]))
    login = state.read_login()
    return (
        kept
        | ({"PREFECT_API_AUTH_STRING": login} if login else {})
        | {
            "no_proxy": no_proxy,
            "NO_PROXY": no_proxy,
            "PREFECT_HOME": str(state.root / "prefect"),
            "PREFECT_API_URL": api,
            "PREFECT_CLI_PROMPT": "false",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": HEARTBEAT_SECONDS,
            "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",  # what the server says while its database starts again
            "PYTHONPATH": os.pathsep.join(dict.fromkeys([checkout, *kept.get("PYTHONPATH", "").split(os.pathsep)])),
        }
    )


def answers(api: str, timeout: float = 5.0) -> bool:
    """Return whether a Prefect server answers at this address."""
    opener = _direct if is_ours(api) else urllib.request.build_opener()
    try:
        with opener.open(f"{api}/health", timeout=timeout):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except (OSError, ValueError):
        return False


def post(api: str, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 -- any JSON
    """Tell or ask the managed server; importing Prefect's client for it would take a second."""
    return json.loads(_send("POST", f"{api}{path}", body))


def patch(api: str, path: str, body: Mapping[str, Any]) -> None:
    """Change something of the managed server's."""
    _send("PATCH", f"{api}{path}", body)


def _send(method: str, url: str, body: Mapping[str, Any]) -> bytes:
    headers = {"Content-Type": "application/json"}
    login = os.environ.get("PREFECT_API_AUTH_STRING") or state_of_this_machine().read_login()
    if login:
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers, method=method)  # noqa: S310
    with _direct.open(request, timeout=120) as answer:  # a busy machine takes its time
        return answer.read()


def is_ours(url: str) -> bool:
    """Return whether a URL names an IP address of this machine."""
    try:
        host = str(ipaddress.ip_address(urlsplit(url).hostname or ""))
    except ValueError:
        return False
    return is_free(0, host)


def is_free(port: int, host: str = HOST) -> bool:
    """Return whether this machine has an address and nobody listens on this port of it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
