"""Steps run by hand in folders of the test, and text for them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from suture.store import Artifact, Manifest, Workspace

END = "<|end|>"
WORDS = ["suture", "closes", "the", "seam", "of", "two", "stacked", "models", "layer", "by", "weight", "slowly"]


def text_of(count: int, start: int = 0) -> str:
    """Return words in an order that never repeats for long."""
    return " ".join(WORDS[(index * index + index // 7) % len(WORDS)] for index in range(start, start + count))


def as_artifact(folder: Path) -> Artifact:
    """Return a folder as the artifact that a step would be given."""
    manifest = Manifest(
        key="0" * 64,
        step="test",
        version=1,
        spec=None,
        parents=(),
        tool="",
        files=(),
        facts={},
        host={},
        created=datetime.now(UTC),
        seconds=0.0,
    )
    return Artifact(folder, manifest)


def make_workspace(folder: Path) -> Workspace:
    """Return a workspace as the store gives it: `out` empty, `scratch` as it was left."""
    (folder / "out").mkdir(parents=True)
    (folder / "scratch").mkdir(exist_ok=True)
    return Workspace("0" * 64, folder / "out", folder / "scratch")
