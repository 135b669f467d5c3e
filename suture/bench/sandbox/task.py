"""What the supervisor and the confined side of a run are told to do."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from suture.bench.sandbox import bubblewrap, confine, landlock, seccomp
from suture.bench.sandbox.form import Program
from suture.bench.sandbox.languages import ENVIRONMENT, Runner, interpreter, interpreter_files

_OPEN_FILES = 256
_STACKS = 2**29  # bytes: those of 64 threads count as memory before they are used
_NOBODYS_IDS = range(1_900_000_000, 2_100_000_000)  # above all that systems give away
_NOBODYS_IDS_IN_A_CONTAINER = range(10_000, 60_000)  # where only 65536 are mapped
_OTHER_TASKS = 64  # that the user's other programs may start meanwhile
_COUNTS_BY_NAMESPACE = (5, 14)
"""Since this Linux, RLIMIT_NPROC counts a user's processes in each user namespace apart."""


@dataclass(frozen=True)
class Confinement:
    """What confines programs.

    Attributes:
        name: `bubblewrap` or `landlock`.
        bwrap: The program of bubblewrap; None for Landlock.
        landlock: Version of Landlock.
    """

    name: str
    bwrap: Path | None = None
    landlock: int = 0


def task(program: Program, runner: Runner, confinement: Confinement, folder: Path) -> dict[str, JsonValue]:
    """Return it as JSON.

    Args:
        program: What is run.
        runner: What runs it.
        confinement: What confines it.
        folder: The run's own; the program's files are laid into its `work` where nothing else gives it a place.
    """
    user = _ordinary_user()
    if confinement.bwrap is not None:
        placed = _in_a_world_of_its_own(runner, confinement.bwrap, folder, program.limits.disk)
    else:
        placed = _among_others(runner, confinement.landlock, folder, user)
    bpf = seccomp.bpf(keep_signals_inside=_must_filter_signals(confinement, user))
    limits = program.limits
    return {
        "parent": os.getpid(),
        "folder": str(folder),
        "stdin": str(folder / "stdin"),
        "stdout": str(folder / "stdout"),
        "stderr": str(folder / "stderr"),
        "command": [*placed.command, str(interpreter()), "-I", "-S", confine.__file__],
        "environment": {**ENVIRONMENT, "HOME": placed.work, "TMPDIR": placed.work},
        "watch": {
            "seconds": limits.seconds,
            "memory": limits.memory,
            "disk": limits.disk,
            "mount": placed.work if confinement.bwrap else None,
            "folder": placed.work,
        },
        "cwd": placed.work,
        "user": user,
        "keep_search": placed.keep_search,
        "landlock": placed.landlock,
        "files": dict[str, JsonValue](program.files),
        "argv": [str(runner.command or f"{placed.environment}/bin/python"), *runner.arguments],
        "limits": _resources(program, runner, confinement, user),
        "seccomp": bpf.hex(),
    }


@dataclass(frozen=True)
class _Placed:
    """Where a program is put, and by what.

    Attributes:
        command: What goes before the command that is to be confined.
        work: The folder in which it is and may write, by the name that it sees.
        environment: Its virtual environment, by that name.
        landlock: Its rules.
        keep_search: Whether it keeps root's right to read, so that it can reach the interpreter.
    """

    command: tuple[str, ...]
    work: str
    environment: str
    landlock: dict[str, JsonValue] | None = None
    keep_search: bool = False


def _in_a_world_of_its_own(runner: Runner, bwrap: Path, folder: Path, disk: int) -> _Placed:
    reads = (*runner.reads, *interpreter_files(), Path(confine.__file__))
    command = bubblewrap.command(bwrap, reads, _environment(runner, folder), disk)
    return _Placed(tuple(command), work=bubblewrap.FOLDER, environment=bubblewrap.ENVIRONMENT)


def _among_others(runner: Runner, version: int, folder: Path, user: int | None) -> _Placed:
    work, environment = folder / "work", _environment(runner, folder)
    work.mkdir()
    if user is not None:
        os.chown(work, user, user)
    reads = (*runner.reads, *interpreter_files(), environment)
    return _Placed(
        command=(),
        work=str(work),
        environment=str(environment),
        landlock=landlock.ruleset(version, reads, work),
        keep_search=user is not None and not all(map(_open_to_all, reads)),
    )


def _environment(runner: Runner, folder: Path) -> Path:
    """Make a virtual environment of links; it costs next to nothing, so it is there for each language."""
    environment = folder / "environment"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = environment / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    for package in runner.packages:
        (packages / package.name).symlink_to(package)
    (environment / "bin").mkdir()
    (environment / "bin" / "python").symlink_to(interpreter())
    (environment / "pyvenv.cfg").write_text(f"home = {interpreter().parent}\ninclude-system-site-packages = false\n")
    return environment


def _open_to_all(path: Path) -> bool:
    """Return whether an ordinary user can get to a path."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents)


def _must_filter_signals(confinement: Confinement, user: int | None) -> bool:
    """Return whether only the filter keeps signals inside: no namespace, no Landlock, no user of its own."""
    return confinement.bwrap is None and user is None and not landlock.keeps_signals_inside(confinement.landlock)


def _ordinary_user() -> int | None:
    """Return the id of nobody, another one each time, so that runs are apart; None where we are no root."""
    if os.geteuid() != 0:
        return None
    mapped = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    last = max(int(first) + int(count) for first, _, count in mapped)
    ids = _NOBODYS_IDS if last >= _NOBODYS_IDS.stop else _NOBODYS_IDS_IN_A_CONTAINER
    return ids[secrets.randbelow(len(ids))]


def _resources(program: Program, runner: Runner, confinement: Confinement, user: int | None) -> dict[str, JsonValue]:
    limits = program.limits
    resources: dict[str, JsonValue] = {
        "RLIMIT_CORE": 0,
        "RLIMIT_CPU": limits.cpu_seconds,
        "RLIMIT_FSIZE": limits.output + 1,  # the one byte more shows that there was more
        "RLIMIT_NOFILE": _OPEN_FILES,
        "RLIMIT_NPROC": limits.processes + _other_tasks(confinement, user),
        "RLIMIT_DATA": limits.memory + _STACKS,
        "RLIMIT_MEMLOCK": 0,
        "RLIMIT_MSGQUEUE": 0,
        "RLIMIT_RTPRIO": 0,
    }
    if runner.reserves is not None:
        resources["RLIMIT_AS"] = limits.memory + runner.reserves
    return resources


def _other_tasks(confinement: Confinement, user: int | None) -> int:
    """Return how many tasks that are not the program's count with its own, which the kernel does by user."""
    if user is not None:
        return 0
    if confinement.bwrap is not None and _linux() >= _COUNTS_BY_NAMESPACE:
        return 1  # bubblewrap's own
    tasks = _OTHER_TASKS
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if process.stat().st_uid == os.geteuid():
                tasks += (process / "task").stat().st_nlink - 2
    return tasks


def _linux() -> tuple[int, ...]:
    return tuple(map(int, platform.release().split("-")[0].split(".")[:2]))
