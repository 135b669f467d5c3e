"""Folders, disk and memory."""

from __future__ import annotations

import errno
import os
import re
import shlex
import tempfile
from contextlib import suppress
from pathlib import Path

from suture.doctor.form import Finding, broken, ok, warning
from suture.progress import human_bytes
from suture.settings import settings
from suture.store import locks
from suture.store.admission import memory_of_this_machine
from suture.store.disk import free_bytes

_GB = 1_000_000_000

_NETWORK_DISKS = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "9p",
        "ceph",
        "glusterfs",
        "lustre",
        "gpfs",
        "fuse.sshfs",
        "fuse.s3fs",
        "virtiofs",
    }
)
"""Types of file systems that others can write to."""

_LITTLE_MEMORY = 4 * _GB


def check_store() -> Finding:
    """Look at the folder of the artifacts."""
    return check_folder("SUTURE_STORE", settings().store, little=20 * _GB)


def check_cache() -> Finding:
    """Look at the folder of downloads and llama.cpp."""
    return check_folder("SUTURE_CACHE", settings().cache, little=2 * _GB)


def check_state() -> Finding:
    """Look at the folder of the server's database."""
    folder = settings().state
    found = check_folder("SUTURE_STATE", folder, little=_GB)
    disk = disk_type(_existing(folder))
    if found.state == "ok" and disk in _NETWORK_DISKS:
        return warning(f"{found.found}: a database is neither fast nor safe there", _elsewhere("SUTURE_STATE"))
    return found


def check_folder(variable: str, folder: Path, little: int) -> Finding:
    """Write and lock a file where a folder is, or will be.

    Args:
        variable: What names the folder.
        folder: It need not exist yet.
        little: Bytes; with less a warning is due.
    """
    place = _existing(folder)
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".suture-doctor-") as file:
            file.write(b"doctor")
            file.flush()
            locking = _locks_hold(Path(file.name))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return broken(f"{folder}: the disk is full", _more_room(variable))
        return broken(f"{folder}: {error.strerror}", _elsewhere(variable))
    free, disk = free_bytes(place), disk_type(place)
    said = f"{folder}: {human_bytes(free)} free{f', network disk ({disk})' if disk in _NETWORK_DISKS else ''}"
    if not locking:
        return broken(f"{said}; locks do not hold on it", _elsewhere(variable))
    return ok(said) if free >= little else warning(f"{said}, which is little", _more_room(variable))


def disk_type(folder: Path) -> str:
    """Return the type of the file system that holds a folder, such as `ext4`; empty where nothing tells."""
    best, found = -1, ""
    with suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            mount, kind = Path(_unescaped(line.split()[4])), line.partition(" - ")[2].split()[0]
            if folder.resolve().is_relative_to(mount) and len(mount.parts) >= best:
                best, found = len(mount.parts), kind
    return found


def _unescaped(field: str) -> str:
    """Return a field of mountinfo as it is: spaces and the like are written there in octal."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), field)


def _locks_hold(file: Path) -> bool:
    """Return whether a second holder is refused, as a network disk without lock service does not."""
    try:
        with locks.try_locked(file) as first:
            return first and locks.is_locked(file)
    except OSError:
        return False


def _existing(folder: Path) -> Path:
    """Return a folder, or the first above it that there is: it may be a file, or a link to nowhere."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(path))


def _elsewhere(variable: str) -> str:
    name = variable.removeprefix("SUTURE_").lower()
    return f'export {variable}="$HOME/suture-{name}"'


def _more_room(variable: str) -> str:
    if variable == "SUTURE_STORE":
        return "suture store gc --keep-runs 3"
    return f"du -xh --max-depth=2 {shlex.quote(str(_existing(getattr(settings(), variable[7:].lower()))))} | sort -h"


def check_memory() -> Finding:
    """Look at how much memory there is, and is left."""
    there = memory_of_this_machine()
    said = f"{human_bytes(there)}, {human_bytes(min(_available(), there))} of it free"
    if there < _LITTLE_MEMORY:
        return warning(f"{said}: enough for models up to 1 B parameters", "suture plan recipes/demo-stack.yaml")
    return ok(said)


def _available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0
