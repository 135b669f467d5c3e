"""Workers: a process per work pool that starts its runs. `suture up` has its own; `suture worker` becomes one."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import NoReturn

import httpx

from deployments.environment import prefect_environment
from deployments.hosts import HOST
from deployments.state import (
    LOGIN,
    POOLS,
    StateFolder,
    answers,
    login_for,
    post,
    state_of_this_machine,
    worker_name,
)
from suture.errors import HostError, ProcessError, TransientError
from suture.orphans import end_orphans, mark
from suture.process import Child, run, start_process, tail

_START_SECONDS = 180
"""A worker is up in 4 s on two idle cores."""


@dataclass(frozen=True)
class Worker:
    """A worker of ours that was started."""

    pool: str
    process: Child
    health: str
    log: Path

    def has_ended(self) -> bool:
        """Return whether it runs no more."""
        return self.process.poll() is not None

    def await_up(self, api: str) -> None:
        """Wait until the server has heard of it: a run that is started then is handed over.

        Args:
            api: The server's.

        Raises:
            TransientError: When it does not come up.
        """
        deadline = time.monotonic() + _START_SECONDS
        while not (answers(self.health, timeout=1) and _is_heard_of(api, self.pool)):
            if self.has_ended() or time.monotonic() > deadline:
                raise TransientError(
                    f"The worker for pool {self.pool} does not start.", where=self.log, found=tail(self.log)
                )
            time.sleep(0.1)


def _is_heard_of(api: str, pool: str) -> bool:
    found = post(api, "/work_pools/filter", {"work_pools": {"name": {"any_": [pool]}}})
    return found[0]["status"] != "NOT_READY"  # one that the user has paused says so


@contextlib.contextmanager
def started_worker(environment: Mapping[str, str], state: StateFolder, pool: str) -> Generator[Worker]:
    """Run a worker while the block runs; it need not be up when the block begins.

    Args:
        environment: Of a client of the server.
        state: Gets its log.
        pool: Work pool, which exists.
    """
    with socket.create_server((HOST, 0)) as probe:
        port = probe.getsockname()[1]
    environment = _environment(environment) | {
        "PREFECT_WORKER_WEBSERVER_HOST": HOST,
        "PREFECT_WORKER_WEBSERVER_PORT": str(port),
    }
    log = state.log(log_name(pool))
    # Workers sometimes ignore SIGTERM: they are killed soon after, and their flow runs with them.
    with start_process([*_command(pool), "--with-healthcheck"], log=log, env=environment) as child:
        yield Worker(pool, child, f"http://{HOST}:{port}", log)


def log_name(pool: str) -> str:
    """Return what the log of a pool's worker is called."""
    return f"worker-{pool}"


def become_worker(pool: str, server: str) -> NoReturn:
    """Become the worker of a pool of another machine's server; its log goes to this process's output.

    Args:
        pool: Work pool; made if the server has none of that name.
        server: Address of the server: that of its pages, or that of its API.

    Raises:
        HostError: When no Prefect server answers there, or it wants another login.
    """
    api = api_of(server)
    make_pools(api, [pool])
    state = state_of_this_machine()
    state.make()
    end_orphans()
    environment = mark(_environment(prefect_environment(state, api)))
    sys.stderr.write(f"Worker of pool {pool} at {server}; Ctrl-C stops it.\n")
    sys.stderr.flush()
    command = _command(pool)
    if "PREFECT_WORKER_WEBSERVER_PORT" in environment:  # of the images, whose health check asks there
        command.append("--with-healthcheck")
    os.execve(command[0], command, environment)  # noqa: S606


def api_of(server: str) -> str:
    """Return the address of a server's API; it may be given as that of its pages."""
    return f"{server.rstrip('/').removesuffix('/api')}/api"


def make_pools(api: str, pools: Sequence[str]) -> None:
    """Make the work pools that a server lacks; those it has are left as they are.

    Raises:
        HostError: When no Prefect server answers, or it wants another login.
    """
    login = login_for(api, state_of_this_machine())
    auth = httpx.BasicAuth(*login.split(":", 1)) if login and ":" in login else None
    try:
        # Never through a proxy, as all else that is said to it; the context heeds SSL_CERT_FILE nonetheless.
        trusted = ssl.create_default_context()
        with httpx.Client(base_url=api, auth=auth, timeout=30, trust_env=False, verify=trusted) as client:
            for pool in pools:
                if _ask(client, "GET", f"/work_pools/{pool}").status_code == HTTPStatus.NOT_FOUND:
                    limit = POOLS.get(pool)
                    body = {"name": pool, "type": "process", "concurrency_limit": limit}
                    _ask(client, "POST", "/work_pools/", body)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise HostError(
            "No Prefect server answers.",
            where=api,
            found=str(error) or type(error).__name__,
            way_out="Check the address (`suture status` on the server's machine shows it), and that it is up. "
            "Unless started with `suture up --host ADDRESS` it listens on its own machine alone: lead a tunnel, "
            "such as `ssh -NL 4200:127.0.0.1:4200 HOST`.",
        ) from error


def _ask(client: httpx.Client, method: str, path: str, body: Mapping[str, object] | None = None) -> httpx.Response:
    answer = client.request(method, path, json=body)
    if answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise HostError(
            "The Prefect server wants a login.",
            where=str(client.base_url),
            found=f"status {answer.status_code}",
            way_out=f"Set {LOGIN} to the `user:password` in the file that `suture up` names.",
        )
    if answer.status_code not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):  # conflict: another has just made it
        answer.raise_for_status()
    return answer


def gpu_found(state: StateFolder) -> bool:
    """Return whether this machine has an NVIDIA GPU whose driver works."""
    if shutil.which("nvidia-smi") is None:
        return False
    try:
        run(["nvidia-smi", "-L"], log=state.log("gpu"), doing="looking for a GPU", timeout=30)
    except ProcessError:
        return False
    return True


def _command(pool: str) -> list[str]:
    command = [
        sys.executable,
        "-P",
        "-m",
        "deployments.serve",
        "worker",
        "start",
        "--pool",
        pool,
        "--type",
        "process",
    ]
    return [*command, "--name", worker_name()]


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    return dict(environment) | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)]),
    }
