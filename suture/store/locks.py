"""Locks that die with their process (flock): a kill -9 leaves nothing to clean up."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Generator
from pathlib import Path

from suture.progress import Progress

_POLL_SECONDS = 0.2


@contextlib.contextmanager
def locked(
    path: Path,
    *,
    shared: bool = False,
    on_wait: Callable[[], None] | None = None,
    still: Callable[[float], None] | None = None,
) -> Generator[None]:
    """Hold a lock while the block runs, waiting for it if need be.

    Waits by polling: a blocking flock in a thread cannot be interrupted by Ctrl-C or a Prefect cancel.

    Args:
        path: The lock file; made when missing, never removed.
        shared: Many may hold it shared; an exclusive holder excludes all others.
        on_wait: Called once if somebody else holds it.
        still: Called again and again with the seconds waited so far; what it raises ends the wait.
    """
    with _opened(path, shared=shared) as descriptor:
        began, waited = time.monotonic(), False
        while not _try_lock(descriptor, shared=shared):
            if not waited and on_wait is not None:
                on_wait()
            waited = True
            if still is not None:
                still(time.monotonic() - began)
            time.sleep(_POLL_SECONDS)
        yield


def still_waits(progress: Progress, note: str) -> Callable[[float], None]:
    """Return what `locked` is to call while it waits: it shows the wait, and ends it where the run is to end."""
    return lambda seconds: progress.update(round(seconds), 0, "s", note)


@contextlib.contextmanager
def try_locked(path: Path, *, shared: bool = False) -> Generator[bool]:
    """Hold a lock while the block runs if it is free; yields whether it is held."""
    with _opened(path, shared=shared) as descriptor:
        yield _try_lock(descriptor, shared=shared)


def is_locked(path: Path, *, also_shared: bool = False) -> bool:
    """Return whether some process holds this lock. Makes and writes nothing: a read-only disk can be asked too.

    Args:
        path: The lock file.
        also_shared: Also count those who hold it shared. Two who ask this at once see each other.
    """
    try:
        descriptor = os.open(path, (os.O_RDWR if also_shared else os.O_RDONLY) | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try_lock(descriptor, shared=not also_shared)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _opened(path: Path, *, shared: bool) -> Generator[int]:
    """Yield the descriptor of a lock file. A shared lock writes nothing; for the other, NFS wants the right to."""
    descriptor = os.open(path, (os.O_RDONLY if shared else os.O_RDWR) | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, *, shared: bool) -> bool:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
