"""`suture down | status | logs`: about a `suture up` that another terminal, or systemd, has started."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

from deployments.server import answering
from deployments.state import POOLS, StateFolder, post, state_of_this_machine
from suture.errors import HostError
from suture.process import tail
from suture.settings import settings
from suture.store import locks

_END_SECONDS = 90
"""The workers, the server and the database are ended one after the other, each with some grace."""

_IN_PROGRESS = ["RUNNING", "PENDING", "CANCELLING", "SCHEDULED", "PAUSED"]


def down() -> None:
    """End `suture up`, and its runs with it; they go on from their last finished step when started again.

    Raises:
        HostError: When it does not end.
    """
    state = state_of_this_machine()
    process = state.read_holder()
    if process is None:
        sys.stdout.write("Suture is not up.\n")
        return
    os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + _END_SECONDS
    while locks.is_locked(state.up):
        if time.monotonic() > deadline:
            raise HostError(
                "`suture up` does not end.",
                where=f"process {process}",
                expected=f"its end within {_END_SECONDS} s",
                way_out=f"End it with `kill -9 {process}`: all that it started dies with it.",
            )
        time.sleep(0.1)
    used = locks.is_locked(state.users, also_shared=True)
    sys.stdout.write("Suture is down" + ("; the server stays up for a `suture run`.\n" if used else ".\n"))


def status() -> int:
    """Print what is up, and what it is doing; returns 0 when `suture up` is, else 1."""
    state = state_of_this_machine()
    is_up = state.read_holder() is not None
    address = answering(state)
    lines = [f"server   {address.ui if address else 'not up'}"]
    if address is not None:
        lines += _pools(address.api) + _runs(address.api)
    lines += [f"store    {settings().store}", f"logs     {state.root}"]
    if not is_up:
        lines.append(_way_up(state))
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if is_up else 1


def logs(name: str, lines: int) -> None:
    """Print the end of a log of the state folder.

    Raises:
        HostError: When there is none.
    """
    log = state_of_this_machine().log(name)
    if not log.exists():
        raise HostError("There is no such log yet.", where=log, way_out="Start `suture up` first.")
    sys.stdout.write(tail(log, lines) + "\n")


def _pools(api: str) -> list[str]:
    found = post(api, "/work_pools/filter", {"work_pools": {"name": {"any_": list(POOLS)}}})
    return [f"pool {pool['name']:<4}{_pool(pool)}" for pool in sorted(found, key=lambda pool: pool["name"])]


def _pool(pool: dict[str, Any]) -> str:
    if pool["is_paused"]:
        return "paused"
    return "a worker is online" if pool["status"] == "READY" else "no worker"


def _runs(api: str) -> list[str]:
    states = {"state": {"type": {"any_": _IN_PROGRESS}}}
    found = post(api, "/flow_runs/filter", {"flow_runs": states, "sort": "START_TIME_DESC", "limit": 20})
    return [f"run      {run['name']}: {run['state']['name'].lower()}" for run in found]


def _way_up(state: StateFolder) -> str:
    if locks.is_locked(state.users, also_shared=True):
        return "The server is up for a `suture run`; `suture up` adds workers and deployments."
    return "`suture up` starts it."
