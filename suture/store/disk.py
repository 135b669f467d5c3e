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

_PLENTY = 10**9
"""Free bytes of a disk that is not taken for the full one where the error names no file."""


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk that holds, or will hold, a folder."""
    return shutil.disk_usage(_existing(folder)).free


def is_for_want_of_room(error: OSError | ProcessError, folder: Path) -> bool:
    """Return whether something failed, here or in a subprocess, because the disk that holds `folder` is full."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return os.strerror(errno.ENOSPC) in error.tail or free_bytes(folder) < _ROOM_FOR_A_LOG


def out_of_room(error: OSError | ProcessError, folder: Path) -> HostError | None:
    """Return what to say of something that failed because a disk is full; None where it failed for another reason.

    Args:
        error: What it raised.
        folder: Where it worked, in the store. It may have written elsewhere too: to TMPDIR, or to a cache.
    """
    if not is_for_want_of_room(error, folder):
        return None
    file = error.filename if isinstance(error, OSError) and isinstance(error.filename, str) else None
    if (_device(Path(file)) == _device(folder)) if file else (free_bytes(folder) < _PLENTY):
        return disk_full(folder, needed=None)
    return HostError(
        f"A disk is full, and {'not' if file else 'perhaps not'} the one that holds the store.",
        where=file,
        expected="room for temporary files and caches",
        found=f"{str(error).splitlines()[0]}; {human_bytes(free_bytes(folder))} free in {folder}",
        way_out="Free some space there (`df` lists the disks), or set TMPDIR or SUTURE_CACHE to a larger one. "
        "What was finished is kept: the same command goes on from there.",
    )


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


def _existing(path: Path) -> Path:
    return next(it for it in (path.absolute(), *path.absolute().parents) if it.exists())


def _device(path: Path) -> int:
    return _existing(path).stat().st_dev
