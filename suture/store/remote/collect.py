"""Removing from a remote what is old."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from suture.store.artifact import MANIFEST
from suture.store.remote.lease import read_lease
from suture.store.remote.mirror import ARTIFACTS, Remote
from suture.store.remote.place import Listed


@dataclass(frozen=True)
class Removal:
    """What is, or would be, removed from a remote.

    Attributes:
        artifacts: Keys, also of artifacts that were never finished.
        size: Bytes.
        in_work: Keys that are old enough and stay, since somebody is building them.
    """

    artifacts: tuple[str, ...]
    size: int
    in_work: tuple[str, ...]


def remove_old(remote: Remote, days: float, *, dry_run: bool) -> Removal:
    """Remove the artifacts of which nothing was pushed for some days; a later run that needs one builds it again.

    Raises:
        TransientError: When the remote does not answer.
    """
    before = datetime.now(UTC) - timedelta(days=days)
    files: dict[str, list[Listed]] = defaultdict(list)
    for listed in remote.place.list(f"{ARTIFACTS}/"):
        files[listed.name.split("/")[1]].append(listed)
    old = [key for key, found in files.items() if max(listed.changed for listed in found) < before]
    in_work = tuple(key for key in old if _is_in_work(remote, key))
    doomed = tuple(key for key in old if key not in in_work)
    if not dry_run:
        for key in doomed:
            for listed in sorted(files[key], key=lambda listed: not listed.name.endswith(f"/{MANIFEST}")):
                remote.place.remove(listed.name)
    size = sum(listed.size for key in doomed for listed in files[key])
    return Removal(doomed, size, in_work)


def _is_in_work(remote: Remote, key: str) -> bool:
    lease, _ = read_lease(remote.place, key)
    return lease is not None and not lease.is_long_over()
