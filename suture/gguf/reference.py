"""A finished GGUF that the user names -> the store, so that it can be measured beside the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field, JsonValue

from suture.errors import SourceError
from suture.gguf import metadata
from suture.gguf.copying import copy_bytes
from suture.progress import Progress
from suture.recipe import Part
from suture.store import Artifact, Workspace, durable


class ReferenceSpec(Part):
    """Which file."""

    sha256: str
    """Digest of its content."""
    path: Path = Field(exclude=True)
    """Where it lies on this machine."""


def pin_reference(path: Path) -> ReferenceSpec:
    """Return the spec for a GGUF on this machine; reads all of it.

    Raises:
        CheckpointError: When it is not a GGUF, or cannot be read.
    """
    metadata.require_gguf(path)
    return ReferenceSpec(sha256=durable.sha256_file(path), path=path)


def reference(
    spec: ReferenceSpec,
    parents: Sequence[Artifact],  # noqa: ARG001 -- none: every step has this form
    work: Workspace,
    progress: Progress,
) -> Mapping[str, JsonValue]:
    """Copy the file into the store; where the file system can, without using up space.

    Raises:
        CheckpointError: When it is not a GGUF.
        SourceError: When its content is no longer what was planned with.
    """
    metadata.require_gguf(spec.path)
    model = work.out / "model.gguf"
    with spec.path.open("rb") as source, model.open("wb") as target:
        copy_bytes(source.fileno(), target.fileno(), 0, lambda done, total: progress.update(done, total, "bytes"))
    digest = durable.sha256_file(model)
    if digest != spec.sha256:
        raise SourceError(
            "The reference changed since the plan was made.",
            where=spec.path,
            expected=spec.sha256,
            found=digest,
            way_out="Run the same command again: it plans with the file as it is now.",
        )
    summary = metadata.read(model)
    return {"size_bytes": summary.size, "type": summary.type, "tensors": summary.tensors}
