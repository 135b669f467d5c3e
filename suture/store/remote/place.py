"""A place: objects by name, in a bucket or in a folder, as a remote needs them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from suture.store.artifact import FileEntry


@dataclass(frozen=True)
class Blob:
    """A small object as it was when it was read.

    Attributes:
        content: All of it.
        version: What changes whenever the object does.
    """

    content: bytes
    version: str


@dataclass(frozen=True)
class Listed:
    """An object of a listing.

    Attributes:
        name: Its whole name.
        changed: When it was written last, by the clock of the place.
    """

    name: str
    size: int
    changed: datetime


class Place(Protocol):
    """Where a remote's objects lie. Names have forward slashes: `artifacts/<key>/manifest.json`.

    Every method raises TransientError when the place does not answer, and HostError when it refuses.
    """

    address: str

    def read(self, name: str) -> Blob | None:
        """Return a small object; None where there is none."""
        ...

    def create(self, name: str, content: bytes) -> bool:
        """Write a small object, unless there is one of this name; returns whether it was written."""
        ...

    def replace(self, name: str, content: bytes, version: str) -> bool:
        """Write a small object if it is still of this version; returns whether it was written."""
        ...

    def remove(self, name: str, version: str | None = None) -> None:
        """Remove an object, if it is still of this version; what is not there, or has changed, is not an error."""
        ...

    def move(self, name: str, other: str) -> None:
        """Give an object another name; what is not there is not an error."""
        ...

    def list(self, prefix: str) -> Iterator[Listed]:
        """Yield all objects whose names begin so."""
        ...

    def give_up_uploads(self, before: datetime, *, dry_run: bool) -> int:
        """Remove what was sent of files whose upload began before then and was never finished, where `list` hides it.

        Args:
            before: By the clock of the place.
            dry_run: Only count.

        Returns:
            How many.
        """
        ...

    def holds(self, name: str, entry: FileEntry) -> bool:
        """Return whether a file is there, whole, with this content."""
        ...

    def send(self, source: Path, name: str, entry: FileEntry) -> Iterator[int]:
        """Write a file so that it appears at once and verified; yields the bytes that each part brought.

        Raises:
            CorruptArtifactError: When `source` is not what `entry` says; nothing has appeared then.
        """
        ...

    def fetch(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of a file from `start` to before `stop`."""
        ...
