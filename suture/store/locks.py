"""Locks that die with their process (flock): a kill -9 leaves nothing to clean up."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Generator
from pathlib import Path

_POLL_SECONDS = 0.2


@contextlib.contextmanager
def locked(path: Path, *, shared: bool = False, on_wait: Callable[[], None] | None = None) -> Generator[None]:
    """Hold a lock while the block runs, waiting for it if need be.

    Waits by polling: a blocking flock in a thread cannot be interrupted by Ctrl-C or a Prefect cancel.

    Args:
        path: The lock file; made when missing, never removed.
        shared: Many may hold it shared; an exclusive holder excludes all others.
        on_wait: Called once if somebody else holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        waited = False
        while not _try_lock(descriptor, shared=shared):
            if not waited and on_wait is not None:
                on_wait()
            waited = True
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def try_locked(path: Path, *, shared: bool = False) -> Generator[bool]:
    """Hold a lock while the block runs if it is free; yields whether it is held."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        yield _try_lock(descriptor, shared=shared)
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Return whether some process holds this lock."""
    if not path.exists():
        return False
    with try_locked(path) as free:
        return not free


def _try_lock(descriptor: int, *, shared: bool) -> bool:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
