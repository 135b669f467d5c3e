"""`suture up`: the server, the workers and the deployments, until Ctrl-C or `suture down`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

import suture
from deployments.automations import make_automations
from deployments.choices import deploy_and_keep
from deployments.server import Server, elsewhere, managed_server, require_port
from deployments.state import GPU_POOL, POOL, POOLS, StateFolder, state_of_this_machine
from deployments.worker import Worker, gpu_found, make_pools, started_worker
from suture.process import run
from suture.store import locks

_DEPLOY_SECONDS = 180

_PAUSE_SECONDS = 3.0
"""Before a worker is started again: one that ends at once must not take a whole core."""


def up(port: int, *, gpu_worker: bool | None) -> None:
    """Serve until Ctrl-C or SIGTERM; where another `suture up` serves already, say so.

    Args:
        port: Of the server.
        gpu_worker: Whether to run a worker for trainings; None means where there is a GPU.

    Raises:
        HostError: When the port is taken.
        TransientError: When the server or a worker does not come up.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    state = state_of_this_machine()
    if not locks.is_locked(state.up):
        require_port(state, port)
        state.make()
    with contextlib.suppress(KeyboardInterrupt), locks.try_locked(state.up) as alone:
        if not alone:
            _say_already(state, port)
            return
        state.write_holder(os.getpid())
        _serve(state, port, gpu_worker=gpu_found(state) if gpu_worker is None else gpu_worker)


def _say_already(state: StateFolder, port: int) -> None:
    address = state.read_address()
    if address is not None and address.port != port:
        raise elsewhere(address, port)
    sys.stdout.write(f"Suture is up already: {address.ui}\n" if address else "Suture is starting already.\n")


def _serve(state: StateFolder, port: int, *, gpu_worker: bool) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(managed_server(port))
        make_pools(server.api, list(POOLS))
        pools = [POOL, GPU_POOL] if gpu_worker else [POOL]
        workers = [stack.enter_context(started_worker(server.environment, state, pool)) for pool in pools]
        for worker in workers:
            worker.await_up()
        deploy_and_keep(server.api, state, lambda: _deploy(server, state))
        make_automations(server.api)
        notice = f"{server.notice}\n" if server.notice else ""
        sys.stdout.write(
            f"{notice}Suture is up: {server.ui}\nWorkers: {' and '.join(pools)}.\nCtrl-C stops it; "
            "so does `suture down`.\n"
        )
        sys.stdout.flush()
        _keep(workers, stack, server, state)


def _keep(workers: list[Worker], stack: contextlib.ExitStack, server: Server, state: StateFolder) -> NoReturn:
    """Start a worker that ends again. Its runs have died with it; the server's automation marks them as crashed."""
    while True:
        time.sleep(0.5)
        for number, worker in enumerate(workers):
            if worker.has_ended():
                sys.stderr.write(f"The worker for pool {worker.pool} has ended; starting it again. {worker.log}\n")
                time.sleep(_PAUSE_SECONDS)
                workers[number] = stack.enter_context(started_worker(server.environment, state, worker.pool))


def _deploy(server: Server, state: StateFolder) -> None:
    checkout = Path(suture.__file__).parents[1]
    command = [sys.executable, "-P", "-m", "prefect", "deploy", "--all"]
    run(
        [*command, "--prefect-file", checkout / "deployments" / "prefect.yaml"],
        log=state.log("deploy"),
        doing="deploying the flows",
        cwd=checkout,
        env=server.environment,
        timeout=_DEPLOY_SECONDS,
    )
