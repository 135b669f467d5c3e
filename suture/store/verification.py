"""Verification: whether an artifact's files are those of its manifest."""

from __future__ import annotations

from pathlib import Path

from suture.errors import CorruptArtifactError
from suture.store import durable
from suture.store.artifact import MANIFEST, Artifact, FileEntry

Stamps = dict[str, list[int]]
"""Inode, size and times of each file; they change with every write, so an equal stamp means the same content."""


def stamps_of(artifact: Artifact) -> Stamps:
    """Return the stamp of each of an artifact's files as they are now."""
    return {file.path: _stamp(artifact.path / file.path) for file in artifact.manifest.files}


def check_files(artifact: Artifact, hashed: Stamps) -> Stamps:
    """Compare an artifact's files with its manifest.

    Args:
        artifact: What to check.
        hashed: Stamps at the time of the last hashing; a file whose stamp is still the same is not read.

    Returns:
        The stamps of the files that were found right.

    Raises:
        CorruptArtifactError: When a file is missing, surplus, or of another size or digest.
    """
    try:
        _check_names(artifact)
        stamps = stamps_of(artifact)
        for file in artifact.manifest.files:
            if hashed.get(file.path) != stamps[file.path]:
                _check_content(artifact.path / file.path, file)
    except FileNotFoundError as error:
        raise CorruptArtifactError("A file went while it was being checked.", where=error.filename) from error
    return stamps


def _check_names(artifact: Artifact) -> None:
    paths = durable.walk_files(artifact.path)
    found = {path.relative_to(artifact.path).as_posix() for path in paths} - {MANIFEST}
    expected = {file.path for file in artifact.manifest.files}
    if found != expected:
        raise CorruptArtifactError(
            "An artifact's files are not those of its manifest.",
            where=artifact.path,
            expected=f"also {sorted(expected - found)}" if expected - found else "nothing more",
            found=f"also {sorted(found - expected)}" if found - expected else "nothing more",
        )


def _check_content(path: Path, entry: FileEntry) -> None:
    size = path.stat().st_size
    if size != entry.size:
        raise CorruptArtifactError(
            "A file in the store has another size.", where=path, expected=entry.size, found=size
        )
    digest = durable.sha256_file(path)
    if digest != entry.sha256:
        raise CorruptArtifactError(
            "A file in the store has other content.", where=path, expected=entry.sha256, found=digest
        )


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
