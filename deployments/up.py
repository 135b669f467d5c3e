"""`suture up`: the server, the workers and the deployments, until Ctrl-C or `suture down`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import NoReturn

from deployments.deploy import deploy_flows, server_stays
from deployments.history import end_lost_runs
from deployments.hosts import is_loopback
from deployments.limits import limit_builds
from deployments.login import make_login, require_host
from deployments.server import Server, elsewhere, managed_server, require_port
from deployments.state import AWAY, GPU_POOL, POOL, POOLS, StateFolder, state_of_this_machine
from deployments.worker import Worker, gpu_found, make_pools, started_worker
from suture.orphans import end_orphans
from suture.store import locks

_PAUSE_SECONDS = 3.0
"""Before a worker is started again: one that ends at once must not take a whole core."""


def up(host: str, port: int, *, gpu_worker: bool | None, runs: int | None = None) -> None:
    """Serve until Ctrl-C or SIGTERM; where another `suture up` serves already, say so.

    Args:
        host: IP address that the server listens on; others than loopback's come with a login.
        port: Of the server.
        gpu_worker: Whether to run a worker for trainings; None means where there is a GPU.
        runs: Builds that may go on at once; None means as many as were allowed before, or as suit this machine.

    Raises:
        HostError: When the port is taken, or this machine has no such address.
        TransientError: When the server or a worker does not come up.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    state = state_of_this_machine()
    if not locks.is_locked(state.up):
        require_host(host)
        require_port(state, port, host)
        state.make()
    with contextlib.suppress(KeyboardInterrupt), locks.try_locked(state.up) as alone:
        if not alone:
            _say_already(state, host, port)
            return
        state.write_holder(os.getpid())
        if not is_loopback(host):
            make_login(state)
        _serve(state, host, port, gpu_worker=gpu_found(state) if gpu_worker is None else gpu_worker, runs=runs)


def _say_already(state: StateFolder, host: str, port: int) -> None:
    address = state.read_address()
    if address is not None and (address.host, address.port) != (host, port):
        raise elsewhere(address, port, host)
    sys.stdout.write(f"Suture is up already: {address.ui}\n" if address else "Suture is starting already.\n")


def _serve(state: StateFolder, host: str, port: int, *, gpu_worker: bool, runs: int | None) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(managed_server(port, host=host))
        pools = [POOL, GPU_POOL] if gpu_worker else [POOL]
        with server_stays(server.ui):
            make_pools(server.api, list(POOLS))
            limit_builds(server.api, runs)
            end_lost_runs(server.api, pools)  # of an `up` that was killed a moment ago: the server may not know it
            workers = [stack.enter_context(started_worker(server.environment, state, pool)) for pool in pools]
            for worker in workers:
                worker.await_up(server.api)
            deploy_flows(server.api, state, server.environment)
        notice = f"{server.notice}\n" if server.notice else ""
        if not is_loopback(host):
            notice += f"Other machines reach it with the login in {state.login}.\n"
        sys.stdout.write(
            f"{notice}Suture is up: {server.ui}\nWorkers: {' and '.join(pools)}.\nCtrl-C stops it; "
            "so does `suture down`.\n"
        )
        sys.stdout.flush()
        _keep(workers, stack, server, state)


def _keep(workers: list[Worker], stack: contextlib.ExitStack, server: Server, state: StateFolder) -> NoReturn:
    """Start a worker that ends again. Its runs have died with it, and are told so."""
    while True:
        time.sleep(0.5)
        for number, worker in enumerate(workers):
            if worker.has_ended() and _ended_its_runs(server, worker):
                sys.stderr.write(f"The worker for pool {worker.pool} has ended; starting it again. {worker.log}\n")
                sys.stderr.flush()
                workers[number] = stack.enter_context(started_worker(server.environment, state, worker.pool))


def _ended_its_runs(server: Server, worker: Worker) -> bool:
    """End the runs of a worker that has ended; returns False while the server is away."""
    time.sleep(_PAUSE_SECONDS)
    end_orphans()
    try:
        end_lost_runs(server.api, [worker.pool])
    except AWAY:  # it was killed too, and is being started again
        return False
    return True
