"""Runs the merge step on folders, as `suture merge` does."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from suture.merge.step import MergeSpec, merge
from suture.progress import Silent
from suture.store import Artifact, Manifest, Workspace


def run_merge(recipe: Mapping[str, Any], folders: Mapping[str, Path], out: Path) -> dict[str, Any]:
    """Write a merge of checkpoints to a folder and return the step's account."""
    out.mkdir()
    spec = MergeSpec.model_validate({"merge": recipe})
    parents = [_as_artifact(folders[name]) for name in spec.merge.sources]
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        return dict(merge(spec, parents, Workspace("0" * 64, out, Path(scratch)), Silent()))


def _as_artifact(folder: Path) -> Artifact:
    """A folder as the step sees its parents; content and key play no part in the merge."""
    manifest = Manifest(
        key=hashlib.sha256(bytes(folder)).hexdigest(),
        step="fetch",
        version=1,
        spec={},
        parents=(),
        tool="",
        files=(),
        facts={},
        host={},
        created=datetime.now(UTC),
        seconds=0.0,
    )
    return Artifact(folder, manifest)
