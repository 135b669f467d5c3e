"""The full check of a store: every file hashed again, whatever its times say."""

from __future__ import annotations

from dataclasses import dataclass

from suture.errors import CorruptArtifactError
from suture.progress import Progress
from suture.store.store import Store


@dataclass(frozen=True)
class Finding:
    """One damaged artifact."""

    key: str
    problem: str


def fsck(store: Store, progress: Progress) -> list[Finding]:
    """Hash every file of every artifact; set damaged artifacts aside, so that they are rebuilt and never served.

    Returns:
        What was found, empty for a sound store.
    """
    if not store.artifacts.exists():
        return []
    findings: list[Finding] = []
    with store.in_use():
        keys = sorted(path.name for path in store.artifacts.iterdir())
        for number, key in enumerate(keys, start=1):
            try:
                store.verify_or_set_aside(key, fully=True)
            except CorruptArtifactError as error:
                findings.append(Finding(key, f"{error}\n  set aside in {store.quarantine}"))
            progress.update(number, len(keys), "artifacts")
    return findings
