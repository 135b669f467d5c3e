"""Manifests that come from a remote: others may write there."""

from __future__ import annotations

from pathlib import PurePosixPath

from pydantic import ValidationError

from suture.errors import CorruptArtifactError
from suture.store.artifact import MANIFEST, Manifest
from suture.store.keys import artifact_key

_LONGEST_NAME = 255
"""Bytes of one part of a path: what Linux' file systems take."""

_LONGEST_PATH = 1024
"""Bytes: what S3 takes."""


def read_manifest(content: bytes, key: str, where: str) -> Manifest:
    """Return the manifest of an artifact in a remote.

    Args:
        content: What it holds.
        key: Under which it was found. Step, spec, parents and tool must be those that give this key.
        where: What errors call it.

    Raises:
        CorruptArtifactError: When it cannot be read, is of another key, or names files outside of its folder.
    """
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        raise CorruptArtifactError(
            "A manifest in the remote cannot be read.", where=where, found=str(error).splitlines()[0]
        ) from error
    found = artifact_key(manifest.step, manifest.version, manifest.spec, manifest.parents, manifest.tool)
    if not manifest.key == found == key:
        raise CorruptArtifactError(
            "A manifest in the remote is of another key.", where=where, expected=key, found=found
        )
    paths = [entry.path for entry in manifest.files]
    files = {*paths, MANIFEST}
    bad = [path for path in paths if not _can_be(path) or any(str(it) in files for it in PurePosixPath(path).parents)]
    if bad or len(files) != len(paths) + 1:
        raise CorruptArtifactError(
            "A manifest in the remote names files that cannot be.",
            where=where,
            expected="each file once, within the artifact's folder, and under names that a disk takes",
            found=", ".join(map(repr, bad)) or "a file twice",
        )
    return manifest


def _can_be(path: str) -> bool:
    """Return whether a path stays inside of its folder, and is none that a disk or a bucket refuses."""
    pure = PurePosixPath(path)
    plain = str(pure) == path and not pure.is_absolute() and "\0" not in path
    short = len(path.encode()) <= _LONGEST_PATH and all(len(part.encode()) <= _LONGEST_NAME for part in pure.parts)
    return plain and short and ".." not in pure.parts and path not in (".", MANIFEST)
