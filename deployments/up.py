"""`suture up`: the server, a worker for the `cpu` pool and the deployments, until Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import suture
from deployments.server import Server, managed_server
from deployments.state import HOST, POOL, StateFolder, answers, state_of_this_machine
from suture.errors import TransientError
from suture.process import run, start_process, tail

_START_SECONDS = 180
"""A worker is up in 4 s on two idle cores."""


def up(port: int) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Raises:
        HostError: When the port is taken.
        TransientError: When the server or the worker does not come up.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    state = state_of_this_machine()
    with (
        contextlib.suppress(KeyboardInterrupt),
        managed_server(port) as server,
        _worker(server, state) as worker_has_ended,
    ):
        _deploy(server, state)
        notice = f"{server.notice}\n" if server.notice else ""
        sys.stdout.write(f"{notice}Suture is up: {server.ui}\nCtrl-C stops it.\n")
        sys.stdout.flush()
        while not worker_has_ended():
            time.sleep(0.5)
        raise TransientError("The worker has ended.", where=state.log("worker"), found=tail(state.log("worker")))


def _deploy(server: Server, state: StateFolder) -> None:
    checkout = Path(suture.__file__).parents[1]
    command = [sys.executable, "-P", "-m", "prefect", "deploy", "--all"]
    run(
        [*command, "--prefect-file", checkout / "deployments" / "prefect.yaml"],
        log=state.log("deploy"),
        doing="deploying the flows",
        cwd=checkout,
        env=server.environment,
        timeout=_START_SECONDS,
    )


@contextlib.contextmanager
def _worker(server: Server, state: StateFolder) -> Generator[Callable[[], bool]]:
    """Run the worker while the block runs; yields whether it has ended.

    It makes the work pool if there is none; it is up when its health check answers.
    """
    with socket.create_server((HOST, 0)) as probe:
        port = probe.getsockname()[1]
    environment = dict(server.environment) | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), server.environment.get("PATH", os.defpath)]),
        "PREFECT_WORKER_WEBSERVER_HOST": HOST,
        "PREFECT_WORKER_WEBSERVER_PORT": str(port),
    }
    command = [sys.executable, "-P", "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
    log = state.log("worker")
    # Workers sometimes ignore SIGTERM: they are killed soon after, and their flow runs with them.
    with start_process(
        [*command, "--name", socket.gethostname(), "--with-healthcheck"], log=log, env=environment
    ) as child:
        deadline = time.monotonic() + _START_SECONDS
        while not answers(f"http://{HOST}:{port}", timeout=1):
            if child.poll() is not None or time.monotonic() > deadline:
                raise TransientError("The worker does not start.", where=log, found=tail(log))
            time.sleep(0.1)
        yield lambda: child.poll() is not None
