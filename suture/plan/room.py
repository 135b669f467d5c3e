"""Whether the disk has room for a plan."""

from __future__ import annotations

from suture.plan.form import Plan
from suture.store import Store
from suture.store.disk import disk_full

_DISK_MARGIN = 1.1
"""Room for part files, manifests and logs beside the expected sizes."""


def check_disk(plan: Plan, store: Store) -> None:
    """Refuse a plan that the disk has no room for.

    Raises:
        HostError: With the bytes needed and found.
    """
    needed = needed_bytes(plan, store)
    if needed > store.free_bytes():
        raise disk_full(store.root, needed)


def needed_bytes(plan: Plan, store: Store) -> int:
    """Return the bytes of disk that the steps still to be run are expected to take."""
    return round(_DISK_MARGIN * sum(step.size for step in plan.missing(store)))
