"""All artifacts that an artifact was made of."""

from __future__ import annotations

from collections.abc import Iterable

from suture.store.artifact import Artifact
from suture.store.store import Store


def lineage(store: Store, keys: Iterable[str]) -> tuple[Artifact, ...]:
    """Return artifacts and all that they were made of, each once, parents before children.

    Raises:
        CorruptArtifactError: When one of them is not in the store any more.
    """
    found: dict[str, Artifact] = {}

    def visit(key: str) -> None:
        if key in found:
            return
        artifact = store.load(key)
        for parent in artifact.manifest.parents:
            visit(parent)
        found[key] = artifact

    for key in keys:
        visit(key)
    return tuple(found.values())
