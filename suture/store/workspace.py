"""Where a step writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """The folders of one attempt at one step.

    Attributes:
        key: Key of the artifact being made.
        out: Becomes the artifact; empty at the start of each attempt.
        scratch: Survives a kill and is there again at the next attempt: checkpoints, part downloads. Whatever
            is found in it must be checked before it is used. Removed when the artifact is complete.
    """

    key: str
    out: Path
    scratch: Path
