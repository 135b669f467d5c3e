"""How many runs of the `cpu` pool go on at once.

Each is a process of 0.3 GB that imports for seconds, and its tools use every core: more at once are not faster. So
the pool's queue of builds has a limit. Runs that only wait for others, sweeps and watches, come through a queue of
their own: however many of them wait, they take no place from the builds they wait for.
"""

from __future__ import annotations

import os

from deployments.state import POOL, patch, post
from suture.steps import store_of_this_machine
from suture.store.admission import room_of_this_machine

BUILDS = "default"
"""The queue of the pool `cpu` for all that works; `light`, which prefect.yaml names, is for what waits."""

_LEAST, _FEWEST_USUALLY, _MOST = 2, 4, 16
"""More than one per core, since a run whose heal is on the GPU worker only waits for that."""

_MEMORY_EACH = 1_000_000_000
"""Bytes: of a run's process and its smallest tools; what steps need beyond that, they claim."""


def usual_limit() -> int:
    """Return how many builds this machine carries at once."""
    cores = len(os.sched_getaffinity(0))
    memory = room_of_this_machine(store_of_this_machine()).memory // _MEMORY_EACH
    return max(_LEAST, min(_MOST, max(_FEWEST_USUALLY, 2 * cores), memory))


def limit_builds(api: str, limit: int | None) -> None:
    """Set the limit; one that was set before, here or on Prefect's pages, stays where none is given.

    Args:
        api: The server's.
        limit: Builds at once; None for what suits this machine.
    """
    queues = post(api, f"/work_pools/{POOL}/queues/filter", {})
    (builds,) = [queue for queue in queues if queue["name"] == BUILDS]
    if limit is not None or builds["concurrency_limit"] is None:
        patch(api, f"/work_pools/{POOL}/queues/{BUILDS}", {"concurrency_limit": limit or usual_limit()})
