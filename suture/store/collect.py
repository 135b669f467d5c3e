"""Collection: what no kept run needs is removed, and what failed and killed processes left behind."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from suture.errors import HostError
from suture.store import durable, locks
from suture.store.runs import RunRecord, read_runs
from suture.store.store import Store

_STALE_PARTIAL_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True)
class Collection:
    """What collection removed, or would remove."""

    artifacts: tuple[str, ...]
    """Keys."""
    damaged: tuple[str, ...]
    """Folders of artifacts that were set aside."""
    runs: tuple[str, ...]
    size: int
    """Bytes of the artifacts, and of those that were set aside."""


def collect(store: Store, keep_runs: int, *, dry_run: bool) -> Collection:
    """Remove artifacts that none of the newest `keep_runs` runs names, the older runs, and what is of no use.

    Of no use are damaged artifacts that were set aside, and stale partials. A dry run says what would go now.

    Raises:
        HostError: While a run is using the store, unless this is a dry run; when a run's record cannot be read.
    """
    with store.in_use():  # makes the folders; released before the exclusive lock is asked for
        if dry_run:
            return _surplus(store, keep_runs)
    with locks.try_locked(store.locks / "collection.lock") as alone:
        if not alone:
            raise HostError("A run is using the store.", where=store.root, way_out="Collect again when it has ended.")
        found = _surplus(store, keep_runs)
        for key in found.artifacts:
            store.remove(key)
        for name in found.damaged:
            durable.remove_tree(store.quarantine / name)
        for run in found.runs:
            durable.remove_tree(store.runs / run)
        sweep(store)
        return found


def _surplus(store: Store, keep_runs: int) -> Collection:
    records = _all_runs(store)
    kept = {key for record in records[:keep_runs] for key in record.keys}
    doomed = [store.artifacts / key for key in store.list_keys() if key not in kept]
    damaged = sorted(store.quarantine.iterdir())
    return Collection(
        artifacts=tuple(folder.name for folder in doomed),
        damaged=tuple(folder.name for folder in damaged),
        runs=tuple(record.run for record in records[keep_runs:]),
        size=sum(path.stat().st_size for folder in (*doomed, *damaged) for path in durable.walk_files(folder)),
    )


def sweep(store: Store, older_than: float = _STALE_PARTIAL_SECONDS) -> list[Path]:
    """Remove what killed processes left behind, where no one holds the key's lock.

    Args:
        store: Where to look.
        older_than: Age in seconds from which scratch with content is given up; empty scratch goes at once.

    Returns:
        The folders that were removed.
    """
    removed: list[Path] = []
    for folder in sorted(store.partial.iterdir()) if store.partial.exists() else ():
        with locks.try_locked(store.locks / f"{folder.name.partition('.')[0]}.lock") as free:
            if free and _is_stale(folder, older_than):
                durable.remove_tree(folder)
                removed.append(folder)
    for part in store.verified.glob("*.part"):  # at worst a live one: only a memory
        part.unlink(missing_ok=True)
    return removed


def _all_runs(store: Store) -> list[RunRecord]:
    """Return all runs, newest first; what is missing among them would lose all that it made."""
    records, unreadable = read_runs(store)
    if unreadable:
        raise HostError(
            "Records of runs cannot be read, so that nobody knows which artifacts they need.",
            where=store.runs,
            found=", ".join(unreadable[:5]) + (" ..." if len(unreadable) > 5 else ""),
            way_out="Collect with the Suture that made these runs; or remove their folders, and with the next "
            "collection all goes that only they need. Nothing was removed now.",
        )
    return records


def _is_stale(folder: Path, older_than: float) -> bool:
    scratch = folder / "scratch"
    if not scratch.exists() or not any(scratch.iterdir()):
        return True
    # Of a link its own time: what it leads to may have been collected.
    newest = max(path.lstat().st_mtime for path in [scratch, *scratch.rglob("*")])
    return time.time() - newest > older_than
