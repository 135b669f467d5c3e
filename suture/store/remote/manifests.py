"""Manifests that come from a remote: others may write there."""

from __future__ import annotations

from pathlib import PurePosixPath

from pydantic import ValidationError

from suture.errors import CorruptArtifactError
from suture.store.artifact import MANIFEST, Manifest
from suture.store.keys import artifact_key


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
    bad = [path for path in paths if not _stays_inside(path)]
    if bad or len(set(paths)) != len(paths):
        raise CorruptArtifactError(
            "A manifest in the remote names files that cannot be.",
            where=where,
            expected="each file once, within the artifact's folder",
            found=", ".join(map(repr, bad)) or "a file twice",
        )
    return manifest


def _stays_inside(path: str) -> bool:
    pure = PurePosixPath(path)
    plain = str(pure) == path and not pure.is_absolute() and "\0" not in path
    return plain and ".." not in pure.parts and path not in (".", MANIFEST)
