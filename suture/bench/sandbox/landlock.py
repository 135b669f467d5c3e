"""What a program may do with files, as rules for Landlock, the kernel's sandbox for ordinary users.

The kernel's versions know different rights: what a version does not know it does not restrict, and a ruleset that
names it is refused.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue

_CREATE_RULESET = 444  # on every processor
_VERSION_FLAG = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_SOCK, _MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 11
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


def version() -> int:
    """Return the version of Landlock that this kernel has; 0 where there is none, or where it is denied."""
    return max(0, int(ctypes.CDLL(None).syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)))


def keeps_signals_inside(known: int) -> bool:
    """Return whether a version of Landlock keeps signals inside."""
    return known >= 6


def ruleset(known: int, reads: Sequence[Path], folder: Path) -> dict[str, JsonValue]:
    """Return what `confine` is to tell the kernel.

    Args:
        known: Version of Landlock.
        reads: Files and folders that may be read, and programs that may be run.
        folder: The only folder in which anything may be changed.
    """
    files = _files(known)
    change = files & ~(_MAKE_CHAR | _MAKE_SOCK | _MAKE_BLOCK | _EXECUTE)
    rules = {str(path): _READ for path in reads}
    rules |= dict.fromkeys(_DEVICES, _READ_FILE | _WRITE_FILE)
    rules[str(folder)] = change
    return {
        "files": files,
        "network": 0b11 if known >= 4 else 0,  # binding and connecting TCP: denied, for there is no rule
        "scoped": 0b11 if keeps_signals_inside(known) else 0,  # abstract unix sockets, signals
        "rules": dict[str, JsonValue](rules),
    }


def _files(known: int) -> int:
    """Return the rights on files that a version knows; later ones added: 2 moving, 3 truncating, 5 device ioctl."""
    added = sum(known >= since for since in (2, 3, 5))
    return (1 << (13 + added)) - 1
