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
    keys = store.list_keys()
    findings: list[Finding] = []
    for number, key in enumerate(keys, start=1):
        try:
            store.verify(key, fully=True)
        except CorruptArtifactError as error:
            place = store.set_aside(key)
            findings.append(Finding(key, f"{error}\n  set aside: {place}"))
        progress.update(number, len(keys), "artifacts")
    return findings
