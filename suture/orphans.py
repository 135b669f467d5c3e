"""Finds and ends processes that outlived whoever started them.

The kernel kills each child of ours with the thread that started it (`suture.launcher`), but not the child's own
children: those of a build, of Chromium or of a distributed training may be left behind by kill -9. So every process
that `suture.process` starts bears the mark of all that it may not outlive, which its own children inherit: a variable
of its environment that names them by process id and start time. An id is used again after a while; an id with a start
time is not, so a process is never taken for another.

    SUTURE_STARTED_BY=812.40213,967.40588       812 started 967, which is the bearer or has started it
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from suture.launcher import MARK, identity

_PROC = Path("/proc")


@dataclass(frozen=True)
class Orphan:
    """A process that should have ended with another."""

    pid: int
    command: str


def mark(environment: Mapping[str, str]) -> dict[str, str]:
    """Return a child's environment with the mark of this process and of all that this one may not outlive."""
    started_by = [*os.environ.get(MARK, "").split(","), identity(os.getpid()) or ""]
    return {**environment, MARK: ",".join(filter(None, dict.fromkeys(started_by)))}


def unmarked(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child that lives on when this process ends."""
    return {name: value for name, value in environment.items() if name != MARK}


def end_orphans(grace: float = 2.0) -> list[Orphan]:
    """End every process on this machine that should have ended with one that is gone: SIGTERM, then SIGKILL.

    Those that this user may not look at, and those of other containers, are left alone.

    Args:
        grace: Seconds between SIGTERM and SIGKILL.

    Returns:
        What was ended.
    """
    with contextlib.ExitStack() as stack:
        found: dict[int, Orphan] = {}  # by a descriptor that stays this very process's, whoever gets its id
        for pid in _processes():
            with contextlib.suppress(OSError), contextlib.ExitStack() as each:
                descriptor = os.pidfd_open(pid)
                each.callback(os.close, descriptor)
                if is_orphan(pid):
                    found[descriptor] = Orphan(pid, _command(pid))
                    stack.enter_context(each.pop_all())
        _signal(found, signal.SIGTERM)
        deadline = time.monotonic() + grace
        while _living(found) and time.monotonic() < deadline:
            time.sleep(0.02)
        _signal(found, signal.SIGKILL)
        return list(found.values())


def _is_running(wanted: str) -> bool:
    pid, _, _ = wanted.partition(".")
    return pid.isdigit() and identity(int(pid)) == wanted


def is_orphan(pid: int) -> bool:
    """Return whether a process should have ended with one that is gone.

    Raises:
        OSError: When there is no such process, or this user may not look at it.
    """
    variables = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    started_by = next((each for each in variables if each.startswith(f"{MARK}=".encode())), None)
    if started_by is None or _container(pid) != _container(os.getpid()):  # there, ids mean other processes
        return False
    return not all(map(_is_running, started_by.decode(errors="replace").partition("=")[2].split(",")))


def _processes() -> list[int]:
    ids = [int(folder.name) for folder in _PROC.iterdir() if folder.name.isdigit()]
    return [pid for pid in ids if pid != os.getpid()]


def _container(pid: int) -> Path:
    return (_PROC / str(pid) / "ns" / "pid").readlink()


def _command(pid: int) -> str:
    return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()


def _living(found: Mapping[int, Orphan]) -> bool:
    poll = select.poll()
    for descriptor in found:
        poll.register(descriptor, select.POLLIN)  # which it is once its process has ended
    return len(poll.poll(0)) < len(found)


def _signal(found: Mapping[int, Orphan], number: signal.Signals) -> None:
    for descriptor in found:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, number)
