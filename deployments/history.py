"""Runs whose process is gone must not say that they are running."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from deployments.state import GPU_POOL, POOL, post

_ALIVE = ["RUNNING", "PENDING", "CANCELLING"]

_KILLED = {
    "type": "CRASHED",
    "name": "Crashed",
    "message": "The process was killed. What it had finished is kept: start the run again and it goes on from there.",
}


def end_lost_runs(api: str) -> int:
    """Mark every run of this machine that has not ended as crashed; called while no client is alive.

    Those of the pool for trainings are another machine's, unless no other machine has ever served it; the server's
    automation marks them when nothing is heard of them.

    Returns:
        How many there were.
    """
    alive = {"state": {"type": {"any_": _ALIVE}}}
    runs = post(api, "/flow_runs/filter", {"flow_runs": alive})
    ours = {None, POOL}
    if any(run["work_pool_name"] == GPU_POOL for run in runs) and _only_we_serve(api, GPU_POOL):
        ours.add(GPU_POOL)
    lost = [run["id"] for run in runs if run["work_pool_name"] in ours and not _lives(run)]
    if not lost:
        return 0
    tasks = post(api, "/task_runs/filter", {"flow_runs": {"id": {"any_": lost}}, "task_runs": alive})
    for task in tasks:
        post(api, f"/task_runs/{task['id']}/set_state", {"state": _KILLED, "force": True})
    for run in lost:
        post(api, f"/flow_runs/{run}/set_state", {"state": _KILLED, "force": True})
    return len(lost)


def _only_we_serve(api: str, pool: str) -> bool:
    """Return whether no worker of another machine has ever served a pool."""
    workers = post(api, f"/work_pools/{pool}/workers/filter", {})
    return {worker["name"] for worker in workers} <= {socket.gethostname()}


def _lives(run: dict[str, Any]) -> bool:
    """Return whether a run's process lives on this machine: a `suture worker` need not be a client of ours."""
    process = Path("/proc") / str(run["infrastructure_pid"])
    try:
        return f"PREFECT__FLOW_RUN_ID={run['id']}" in (process / "environ").read_bytes().decode().split("\0")
    except (OSError, UnicodeDecodeError):
        return False
