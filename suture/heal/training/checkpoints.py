"""Training checkpoints: a folder counts only with its seal, which is written last and names every file's digest.

A training can be killed at any moment, also while it writes a checkpoint; what it leaves then has no seal, or files
that do not fit it, and is removed.
"""

from __future__ import annotations

import json
from pathlib import Path

from suture.store import durable

_SEAL = "complete.json"


def seal(folder: Path) -> None:
    """Sync a checkpoint's files to the disk, then write the seal."""
    files = list(durable.walk_files(folder))
    for path in files:
        durable.sync_file(path)
    digests = {path.relative_to(folder).as_posix(): durable.sha256_file(path) for path in files}
    durable.write_atomically(folder / _SEAL, json.dumps(digests, indent=1).encode())
    durable.sync_folder(folder.parent)


def is_sound(folder: Path) -> bool:
    """Return whether a checkpoint has its seal and every file that the seal names, unchanged."""
    try:
        digests: dict[str, str] = json.loads((folder / _SEAL).read_bytes())
        return all(durable.sha256_file(folder / name) == digest for name, digest in digests.items())
    except (OSError, ValueError):
        return False


def newest_sound(folder: Path) -> Path | None:
    """Return the sound checkpoint with the most steps, or None; all others are removed."""
    newest: Path | None = None
    for candidate in sorted(folder.glob("checkpoint-*"), key=step_of, reverse=True):
        if newest is None and is_sound(candidate):
            newest = candidate
        else:
            durable.remove_tree(candidate)
    return newest


def step_of(checkpoint: Path) -> int:
    """Return the step after which a checkpoint was written: its folder is called `checkpoint-<step>`."""
    return int(checkpoint.name.rpartition("-")[2])
