"""Removing from a remote what is old."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from suture.store.artifact import MANIFEST
from suture.store.remote.lease import read_lease
from suture.store.remote.mirror import ARTIFACTS, DAMAGED, Remote
from suture.store.remote.place import Listed


@dataclass(frozen=True)
class Removal:
    """What is, or would be, removed from a remote.

    Attributes:
        artifacts: Keys, also of artifacts that were never finished.
        damaged: Artifacts that were set aside.
        uploads: Files whose upload was never finished, and whose parts the server keeps out of sight.
        size: Bytes, without those of the uploads.
        in_work: Keys that are old enough and stay, since somebody is building them.
    """

    artifacts: tuple[str, ...]
    damaged: tuple[str, ...]
    uploads: int
    size: int
    in_work: tuple[str, ...]


def remove_old(remote: Remote, days: float, *, dry_run: bool) -> Removal:
    """Remove the artifacts of which nothing was pushed for some days; a later run that needs one builds it again.

    Damaged ones that were set aside, and uploads that were never finished, go when they are as old.

    Raises:
        TransientError: When the remote does not answer.
    """
    before = datetime.now(UTC) - timedelta(days=days)
    old, damaged = (_old(remote, folder, before) for folder in (ARTIFACTS, DAMAGED))
    in_work = tuple(key for key in old if _is_in_work(remote, key))
    artifacts = {key: files for key, files in old.items() if key not in in_work}
    doomed = [*artifacts.values(), *damaged.values()]
    if not dry_run:
        for files in doomed:
            for listed in sorted(files, key=lambda listed: not listed.name.endswith(f"/{MANIFEST}")):
                remote.place.remove(listed.name)
    return Removal(
        artifacts=tuple(artifacts),
        damaged=tuple(damaged),
        uploads=remote.place.give_up_uploads(before, dry_run=dry_run),
        size=sum(listed.size for files in doomed for listed in files),
        in_work=in_work,
    )


def _old(remote: Remote, folder: str, before: datetime) -> dict[str, list[Listed]]:
    """Return the folders in one of the remote's, with their files, none of which was written since then."""
    found: dict[str, list[Listed]] = defaultdict(list)
    for listed in remote.place.list(f"{folder}/"):
        found[listed.name.split("/")[1]].append(listed)
    return {name: files for name, files in found.items() if max(listed.changed for listed in files) < before}


def _is_in_work(remote: Remote, key: str) -> bool:
    lease, _ = read_lease(remote.place, key)
    return lease is not None and not lease.is_long_over()
