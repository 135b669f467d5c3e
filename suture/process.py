"""The one doorway to subprocesses.

A child writes to a log file (never to a pipe, which would keep a killed parent's run alive), stays in the
caller's process group (so that cancelling the group ends it) and is killed by the kernel when the thread that
started it dies (`suture.launcher`), so that not even kill -9 leaves an orphan.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from suture import launcher, orphans
from suture.errors import ProcessError

_LAUNCHER = (sys.executable, "-I", "-S", launcher.__file__)

Child = subprocess.Popen[bytes]
"""A running subprocess, as `start_process` yields it."""

_children: set[Child] = set()

_GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL. A run that is cancelled is to be gone after 5 s."""

_starting = threading.Lock()

stopping = threading.Event()
"""Set when this process's work is to end now: from then on no child is started."""

TAIL_LINES = 15
"""How many log lines an error shows: a screenful with the rest of the message."""


@dataclass(frozen=True)
class Completed:
    """What a finished subprocess left behind."""

    argv: tuple[str, ...]
    status: int
    seconds: float
    log: Path

    @property
    def output(self) -> str:
        """Everything it wrote, stdout and stderr in order."""
        return self.log.read_text(errors="replace")


def run(
    argv: Sequence[str | Path],
    *,
    log: Path,
    doing: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    on_line: Callable[[str], None] | None = None,
) -> Completed:
    """Run a command to its end.

    Args:
        argv: The command; no shell.
        log: File that receives stdout and stderr.
        doing: What this is for, as an error would say it: "converting merged to GGUF".
        cwd: Working directory.
        env: The child's whole environment; this process's own when None.
        timeout: Seconds until it is killed; no limit when None.
        on_line: Called with each line of output as it appears, for progress.

    Raises:
        ProcessError: When it exits with another status than 0 or outlasts `timeout`.
    """
    start = time.monotonic()
    watcher = _LineWatcher(log, on_line)
    with start_process(argv, log=log, cwd=cwd, env=env) as child:
        while child.poll() is None:
            if timeout is not None and time.monotonic() - start > timeout:
                raise ProcessError(f"Time-out while {doing}.", status=None, tail=tail(log), where=log)
            watcher.read()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=0.2)
        watcher.read(at_end=True)
    if child.returncode != 0:
        raise ProcessError(f"Failed while {doing}.", status=child.returncode, tail=tail(log), where=log)
    return Completed(tuple(map(str, argv)), child.returncode, time.monotonic() - start, log)


@contextlib.contextmanager
def start_process(
    argv: Sequence[str | Path],
    *,
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    user: int | None = None,
    inherit: Sequence[int] = (),
    grace: float = _GRACE,
    lives_on: bool = False,
) -> Generator[Child]:
    """Start a command and end it, at the latest, when the block is left: SIGTERM, then SIGKILL after `grace` s.

    Args:
        argv: The command; no shell.
        log: File that receives stdout and stderr.
        cwd: Working directory.
        env: The child's whole environment; this process's own when None.
        user: Id of the user it runs as; this process's own when None.
        inherit: File descriptors that it shares.
        grace: Seconds between SIGTERM and SIGKILL.
        lives_on: Whether what it starts in its turn may outlive this process.

    Raises:
        FileNotFoundError: When there is no such command.
        ProcessError: When this process's work is to end now.
    """
    _require(str(argv[0]), env)
    environment = os.environ if env is None else env
    with log.open("ab") as sink, _starting:
        if stopping.is_set():
            raise ProcessError("Not started: the work is to end now.", status=None, tail="", where=log)
        child = subprocess.Popen(
            [*_LAUNCHER, str(os.getpid()), "" if user is None else str(user), *(str(part) for part in argv)],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=orphans.unmarked(environment) if lives_on else orphans.mark(environment),
            pass_fds=tuple(inherit),
        )
        _children.add(child)
    try:
        yield child
    finally:
        end(child, grace)
        _children.discard(child)


def end(child: Child, grace: float = _GRACE) -> None:
    """End a child: SIGTERM, then SIGKILL after `grace` seconds."""
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(timeout=grace)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def end_all(grace: float = _GRACE) -> None:
    """End every child of this process, so that the threads that wait for them go on; all have the same grace."""
    with _starting:
        children = tuple(_children)
    deadline = time.monotonic() + grace
    for child in children:
        child.terminate()
    for child in children:
        end(child, grace=max(0.0, deadline - time.monotonic()))


def stop(grace: float = _GRACE) -> None:
    """End every child of this process, and start no more: its work is to end now."""
    with _starting:
        stopping.set()
    end_all(grace)


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log, read from its last 16 kB."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 16_384))
        text = file.read().decode(errors="replace")
    return "\n".join(text.replace("\r", "\n").strip().splitlines()[-lines:])


def _require(command: str, env: Mapping[str, str] | None) -> None:
    path = (os.environ if env is None else env).get("PATH", os.defpath)
    if shutil.which(command, path=path) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), command)


class _LineWatcher:
    """Feeds the lines a log gains to a callback; a carriage return ends a line too, as progress bars write it."""

    def __init__(self, log: Path, on_line: Callable[[str], None] | None) -> None:
        self._on_line = on_line
        self._log = log
        self._offset = log.stat().st_size if log.exists() else 0  # a log is appended to
        self._rest = b""

    def read(self, *, at_end: bool = False) -> None:
        if self._on_line is None:
            return
        with self._log.open("rb") as file:
            file.seek(self._offset)
            block = file.read()
        self._offset += len(block)
        *lines, self._rest = (self._rest + block).replace(b"\r", b"\n").split(b"\n")
        for line in [*lines, self._rest] if at_end else lines:
            if line.strip():
                self._on_line(line.decode(errors="replace"))
