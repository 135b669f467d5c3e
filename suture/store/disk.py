"""How much room the disk has."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from suture.errors import HostError, ProcessError
from suture.progress import human_bytes

_ROOM_FOR_A_LOG = 65_536
"""Bytes; with less a tool's last words may not have reached its log."""


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk that holds, or will hold, a folder."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(existing).free


def is_for_want_of_room(error: OSError | ProcessError, folder: Path) -> bool:
    """Return whether something failed, here or in a subprocess, because the disk that holds `folder` is full."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return os.strerror(errno.ENOSPC) in error.tail or free_bytes(folder) < _ROOM_FOR_A_LOG


def disk_full(root: Path, needed: int | None) -> HostError:
    """Return the error for a disk without room."""
    return HostError(
        "The disk that holds the store is full.",
        where=root,
        expected=None if needed is None else f"{human_bytes(needed)} free",
        found=f"{human_bytes(free_bytes(root))} free",
        way_out="Free some space (`suture store gc --keep-runs 3`), or set SUTURE_STORE to a larger disk. "
        "What was finished is kept: the same command goes on from there.",
    )
