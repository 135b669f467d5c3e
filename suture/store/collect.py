"""Collection: what no kept run needs is removed."""

from __future__ import annotations

from dataclasses import dataclass

from suture.errors import HostError
from suture.store import durable, locks
from suture.store.runs import list_runs
from suture.store.store import Store


@dataclass(frozen=True)
class Collection:
    """What collection removed, or would remove."""

    artifacts: tuple[str, ...]
    """Keys."""
    runs: tuple[str, ...]
    size: int
    """Bytes of the artifacts."""


def collect(store: Store, keep_runs: int, *, dry_run: bool) -> Collection:
    """Remove artifacts that none of the newest `keep_runs` runs names, the older runs, and stale partials.

    Raises:
        HostError: While a run is using the store.
    """
    with store.in_use():  # makes the folders; released before the exclusive lock is asked for
        pass
    with locks.try_locked(store.locks / "collection.lock") as alone:
        if not alone:
            raise HostError("A run is using the store.", where=store.root, way_out="Collect again when it has ended.")
        records = list_runs(store)
        kept = {key for record in records[:keep_runs] for key in record.keys}
        doomed = [key for key in store.list_keys() if key not in kept]
        found = Collection(
            artifacts=tuple(doomed),
            runs=tuple(record.run for record in records[keep_runs:]),
            size=sum(path.stat().st_size for key in doomed for path in durable.walk_files(store.artifacts / key)),
        )
        if not dry_run:
            for key in found.artifacts:
                store.remove(key)
            for run in found.runs:
                durable.remove_tree(store.runs / run)
            store.sweep()
        return found
