"""An artifact and its manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue

from suture.store.keys import canonical_json

MANIFEST = "manifest.json"


class FileEntry(BaseModel):
    """One file of an artifact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    """Relative to the artifact's folder, with forward slashes."""
    size: int
    """Bytes."""
    sha256: str


class Manifest(BaseModel):
    """What an artifact is and where it came from; written last, so its existence means complete."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    step: str
    version: int
    spec: JsonValue
    parents: tuple[str, ...]
    tool: str
    files: tuple[FileEntry, ...]
    facts: dict[str, JsonValue]
    """What the step found out: counts, losses, scores; also what depends on the machine."""
    host: dict[str, str]
    """The machine and the package versions that made it."""
    created: datetime
    seconds: float
    """Wall time of the step."""

    @property
    def digest(self) -> str:
        """Digest of the content alone: equal for equal files, whenever and wherever they were made."""
        return files_digest(self.files)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class Artifact:
    """A complete artifact in the store."""

    path: Path
    manifest: Manifest

    @property
    def key(self) -> str:
        """Its key."""
        return self.manifest.key

    @property
    def facts(self) -> dict[str, JsonValue]:
        """What its step found out."""
        return self.manifest.facts

    def only(self, suffix: str) -> Path:
        """Return its one file with this suffix, such as `.gguf`."""
        (entry,) = [file for file in self.manifest.files if file.path.endswith(suffix)]
        return self.path / entry.path


def files_digest(files: Iterable[FileEntry]) -> str:
    """Return one sha256 over the paths, sizes and digests of all files."""
    rows = sorted((file.path, file.size, file.sha256) for file in files)
    return hashlib.sha256(canonical_json([list(row) for row in rows]).encode()).hexdigest()
