"""Runs whose process is gone must not say that they are running."""

from __future__ import annotations

from deployments.state import POOL, post

_ALIVE = ["RUNNING", "PENDING", "CANCELLING"]

_KILLED = {
    "type": "CRASHED",
    "name": "Crashed",
    "message": "The process was killed. What it had finished is kept: start the run again and it goes on from there.",
}


def end_lost_runs(api: str) -> int:
    """Mark every run of this machine that has not ended as crashed; called while no client is alive.

    Runs that wait for another machine's work pool are that machine's.

    Returns:
        How many there were.
    """
    alive = {"state": {"type": {"any_": _ALIVE}}}
    runs = post(api, "/flow_runs/filter", {"flow_runs": alive})
    lost = [run["id"] for run in runs if run["work_pool_name"] in (None, POOL)]
    if not lost:
        return 0
    tasks = post(api, "/task_runs/filter", {"flow_runs": {"id": {"any_": lost}}, "task_runs": alive})
    for task in tasks:
        post(api, f"/task_runs/{task['id']}/set_state", {"state": _KILLED, "force": True})
    for run in lost:
        post(api, f"/flow_runs/{run}/set_state", {"state": _KILLED, "force": True})
    return len(lost)
