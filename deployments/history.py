"""Runs whose process is gone must not say that they are running."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from deployments.automations import AGAIN, UNHEARD
from deployments.state import POOLS, post, worker_name
from suture.settings import settings

_ALIVE = ["RUNNING", "PENDING", "CANCELLING"]

_KILLED = {
    "type": "CRASHED",
    "name": "Crashed",
    "message": f"The process was killed. {AGAIN}",
}

_CANCELLED = {
    "type": "CANCELLED",
    "name": "Cancelled",
    "message": "Its process was killed while it was being cancelled. What it had finished is kept.",
}

_LIVES = {
    "type": "RUNNING",
    "name": "Running",
    "message": "It was taken for lost, as nothing had been heard of it; but its process lives.",
}

_MARK = b"PREFECT__FLOW_RUN_ID="

EVERYWHERE = (None, *POOLS)
"""The pools of a run of ours: a worker's, or None for a `suture run`."""


def end_lost_runs(api: str, pools: Collection[str | None]) -> int:
    """Mark every run of this machine that has not ended, and has no process, as crashed; or as cancelled.

    Called while nobody on this machine can be about to start one of them. Those of a pool that another machine, or
    another user of this one, has ever served may be theirs, and so may those of no pool where the database is not
    ours alone; the server's automations mark them when nothing is heard of them.

    Args:
        api: The server's.
        pools: Of the runs; None stands for those that no worker started.

    Returns:
        How many there were.
    """
    alive = {"state": {"type": {"any_": _ALIVE}}}
    runs = post(api, "/flow_runs/filter", {"flow_runs": alive})
    concerned = {run["work_pool_name"] for run in runs} & set(pools)
    ours = {pool for pool in concerned if (_only_we_run() if pool is None else _only_we_serve(api, pool))}
    living = _living_runs()
    lost = [run for run in runs if run["work_pool_name"] in ours and run["id"] not in living]
    if not lost:
        return 0
    of_them = {"id": {"any_": [run["id"] for run in lost]}}
    tasks = post(api, "/task_runs/filter", {"flow_runs": of_them, "task_runs": alive})
    for task in tasks:
        post(api, f"/task_runs/{task['id']}/set_state", {"state": _KILLED, "force": True})
    for run in lost:
        post(api, f"/flow_runs/{run['id']}/set_state", {"state": _end_of(run), "force": True})
    return len(lost)


def revive_living_runs(api: str) -> int:
    """Mark every run as running again that was taken for lost and has a process on this machine.

    A server that was killed itself may miss signs of life, and a network that was away does.

    Args:
        api: The server's.

    Returns:
        How many there were.
    """
    living = {"id": {"any_": sorted(_living_runs())}, "state": {"type": {"any_": ["CRASHED"]}}}
    found = post(api, "/flow_runs/filter", {"flow_runs": living}) if living["id"]["any_"] else []
    wrong = [run["id"] for run in found if (run["state"]["message"] or "").startswith(UNHEARD)]
    for run in wrong:
        post(api, f"/flow_runs/{run}/set_state", {"state": _LIVES, "force": True})
    return len(wrong)


def _end_of(run: dict[str, Any]) -> dict[str, str]:
    return _CANCELLED if run["state"]["type"] == "CANCELLING" else _KILLED


def _only_we_run() -> bool:
    """Return whether every `suture run` that the server knows of is of this state folder."""
    return settings().database is None


def _only_we_serve(api: str, pool: str) -> bool:
    """Return whether no worker but this user's on this machine has ever served a pool."""
    workers = post(api, f"/work_pools/{pool}/workers/filter", {})
    return {worker["name"] for worker in workers} <= {worker_name()}


def _living_runs() -> set[str]:
    """Return the runs that have a process on this machine: a `suture worker` need not be a client of ours."""
    found: set[str] = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                variables = (folder / "environ").read_bytes().split(b"\0")
                found |= {each.removeprefix(_MARK).decode() for each in variables if each.startswith(_MARK)}
    return found
