"""Starts a confined program, watches what it and all that it starts use, and leaves nothing of it behind.

    python -I -S supervise.py TASK

TASK is a file of JSON. Prints what came of it as one line of JSON. A program of its own, outside the sandbox, for it
must go on when the process that wants the result is killed: then it is told (SIGTERM), ends all, and removes the
run's folder. Every orphan among the processes becomes its child (it is a "subreaper"), so that none escapes.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import resource  # here already: os.wait4 needs it, and could not load it while we see as another user
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_ENDING = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_SHORTEST_PAUSE = 0.01  # seconds between two looks
_SHARE = 2  # a pause is at least so many times as long as a look
_SIZE_OF_ENTRY = 4096  # bytes that a file takes beside its content
_MEMORY = ("RssAnon:", "RssShmem:", "VmSwap:", "VmPTE:")
_SHARE_OF_MEMORY = ("Pss_Anon:", "Pss_Shmem:", "SwapPss:")
_BEYOND_COUNT = 2**62

_libc = ctypes.CDLL(None)


def main() -> None:
    """Watch over one run."""
    with open(sys.argv[1], "rb") as file:  # noqa: PTH123 -- pathlib would double the time to start
        task = json.load(file)
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING | {signal.SIGCHLD})
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    end = _Run(task).watch() if os.getppid() == task["parent"] else None
    if os.getppid() != task["parent"]:
        _see_as(os.geteuid())
        import shutil

        shutil.rmtree(task["folder"], ignore_errors=True)
    if end is None or end["why"] == "ended":
        sys.exit("ended from outside")
    print(json.dumps(end))


def _see_as(user: int) -> None:
    """Open files as another user: root without the right to trace (in a container) may not see what others use."""
    _libc.setfsgid(user)
    _libc.setfsuid(user)


class _Run:
    """The run of one program."""

    def __init__(self, task: dict[str, Any]) -> None:
        self._limits: dict[str, Any] = task["watch"]
        self._status: int | None = None
        self._cpu_seconds = 0.0
        self._report = b""
        self._start = time.monotonic()
        self._pipe, writer = os.pipe()
        os.set_blocking(self._pipe, False)
        self._child = _spawn(task, writer)
        os.close(writer)
        if task["user"] is not None:
            _see_as(task["user"])

    def watch(self) -> dict[str, Any]:
        """Return what came of it, when nothing of it is left."""
        why = ""
        pause = _SHORTEST_PAUSE
        while not why and self._status is None:
            received = signal.sigtimedwait({*_ENDING, signal.SIGCHLD}, pause)
            look = time.monotonic()
            self._reap()
            if received is not None and received.si_signo in _ENDING:
                why = "ended"
            elif self._status is None:
                why = self._excess()
            pause = max(_SHORTEST_PAUSE, _SHARE * (time.monotonic() - look))
        end = time.monotonic()
        self._end_all()
        return {
            "why": why,
            "report": self._read_report(),
            "status": self._status,
            "cpu_seconds": self._cpu_seconds,
            "seconds": end - self._begin(),
        }

    def _excess(self) -> str:
        """Return which limit is passed; empty if none is."""
        if time.monotonic() - self._begin() > self._limits["seconds"]:
            return "timeout"
        processes = _tree()
        if _memory(processes, self._limits["memory"]) > self._limits["memory"]:
            return "memory"
        if self._read_report() and self._disk(processes) > self._limits["disk"]:
            return "output"
        return ""

    def _disk(self, processes: Sequence[int]) -> int:
        mount, folder = self._limits["mount"], self._limits["folder"]
        if mount:
            return _used_of_mount(processes, mount)
        return _used_of_folder(folder, self._limits["disk"]) + _unlinked(processes, folder)

    def _begin(self) -> float:
        """Return when the program itself began, as far as it is known."""
        words = self._read_report().split(maxsplit=2)
        return float(words[1]) if words[:1] == ["begins"] else self._start

    def _read_report(self) -> str:
        with contextlib.suppress(BlockingIOError):
            self._report += os.read(self._pipe, 4096)
        return self._report.decode(errors="replace")

    def _count(self, usage: resource.struct_rusage) -> None:
        """Add up CPU time, of a process and of those that it waited for."""
        self._cpu_seconds += usage.ru_utime + usage.ru_stime

    def _reap(self) -> bool:
        """Collect the dead; return whether any child is left."""
        with contextlib.suppress(ChildProcessError):
            while True:
                process, status, usage = os.wait4(-1, os.WNOHANG)
                if process == 0:
                    return True
                self._count(usage)
                if process == self._child:
                    self._status = os.waitstatus_to_exitcode(status)
        return False

    def _end_all(self) -> None:
        """Kill until none is left: while one is killed, another may start a new one."""
        while self._reap():
            for process in _tree():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            signal.sigtimedwait({signal.SIGCHLD}, _SHORTEST_PAUSE)


def _spawn(task: dict[str, Any], report: int) -> int:
    """Start the command; the kernel's choice, when memory runs out, falls on it and not on us."""
    opened = [
        os.open(task["stdin"], os.O_RDONLY),
        os.open(task["stdout"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600),
        os.open(task["stderr"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600),
        os.open(sys.argv[1], os.O_RDONLY),
        report,
    ]
    high = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 10) for number in opened]  # out of the way of 0 to 4
    with open("/proc/self/oom_score_adj", "r+") as file:  # noqa: PTH123
        usual = file.read()
        _put(file.fileno(), "1000")
        try:
            return os.posix_spawn(
                task["command"][0],
                task["command"],
                task["environment"],
                file_actions=[(os.POSIX_SPAWN_DUP2, number, target) for target, number in enumerate(high)],
                setsid=True,
                setsigmask=(),
            )
        finally:
            _put(file.fileno(), usual)
            for number in (*opened[:-1], *high):
                os.close(number)


def _put(file: int, text: str) -> None:
    os.pwrite(file, text.encode(), 0)


# -- what the processes use ---------------------------------------------------------------------------------------


def _tree() -> list[int]:
    """Return all processes that come from this one, parents first."""
    children = _children if os.access(f"/proc/self/task/{os.getpid()}/children", os.R_OK) else _children_by_parent()
    found = [os.getpid()]
    for process in found:  # grows as it goes
        found += children(process)
    return found[1:]


def _children(process: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{process}/task"):  # noqa: PTH208
            found += map(int, _read(f"/proc/{process}/task/{thread}/children").split())
    return found


def _children_by_parent() -> Callable[[int], list[int]]:
    """Look at all processes: for kernels that keep no list of a process's children."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        fields = _read(f"/proc/{name}/stat").rpartition(")")[2].split() if name.isdigit() else []
        if fields:
            children.setdefault(int(fields[1]), []).append(int(name))
    return lambda process: children.get(process, [])


def _memory(processes: Sequence[int], limit: int) -> int:
    """Return the memory of processes in bytes; exact only where it passes the limit.

    Pages that a fork shares count in each process, so a sum that is too high is taken again by shares, which the
    kernel takes longer to find.
    """
    total = sum(_kilobytes(f"/proc/{process}/status", _MEMORY) for process in processes) * 1024
    if total <= limit:
        return total
    shares = [_kilobytes(f"/proc/{process}/smaps_rollup", _SHARE_OF_MEMORY) for process in processes]
    return sum(shares) * 1024 or total


def _kilobytes(path: str, names: tuple[str, ...]) -> int:
    return sum(int(line.split()[1]) for line in _read(path).splitlines() if line.startswith(names))


def _used_of_mount(processes: Sequence[int], mount: str) -> int:
    """Return the bytes in use of a file system that only the processes see."""
    for process in reversed(processes):
        with contextlib.suppress(OSError):
            state = os.statvfs(f"/proc/{process}/root{mount}")
            blocks = (state.f_blocks - state.f_bfree) * state.f_frsize
            return blocks + (state.f_files - state.f_ffree) * _SIZE_OF_ENTRY
    return 0


def _used_of_folder(folder: str, limit: int) -> int:
    """Return the bytes that a folder holds, or any number over the limit once that is passed."""
    total = 0
    folders = [folder]
    while folders and total <= limit:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        total += entry.stat(follow_symlinks=False).st_blocks * 512 + _SIZE_OF_ENTRY
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.path)
        except (FileNotFoundError, NotADirectoryError):  # gone meanwhile
            continue
        except OSError:  # closed to us, or nested too deep to be named: made to hide
            return _BEYOND_COUNT
    return total


def _unlinked(processes: Sequence[int], folder: str) -> int:
    """Return the bytes of files that have no name any more, but are open or mapped."""
    sizes: dict[tuple[int, int], int] = {}
    mapped = 0
    for process in processes:
        for path in _paths(f"/proc/{process}/fd"):
            with contextlib.suppress(OSError):
                state = os.stat(path)  # noqa: PTH116
                if stat.S_ISREG(state.st_mode) and state.st_nlink == 0:
                    sizes[state.st_dev, state.st_ino] = state.st_blocks * 512
        for line in _read(f"/proc/{process}/maps").splitlines():
            if line.endswith(" (deleted)") and folder in line:
                begin, end = line.split(maxsplit=1)[0].split("-")
                mapped += int(end, 16) - int(begin, 16)
    return sum(sizes.values()) + mapped


def _paths(folder: str) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208
            yield f"{folder}/{name}"


def _read(path: str) -> str:
    """Return a file of /proc; empty when the process is gone, or not ours to see."""
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            return file.read().decode(errors="replace")
    except OSError:
        return ""


if __name__ == "__main__":
    main()
