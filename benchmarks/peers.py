"""Other tools, each in a virtual environment of its own, to be measured beside Suture."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MERGEKIT = ("mergekit==0.1.5", "torch==2.13.0")


@dataclass(frozen=True)
class Run:
    """One finished command: wall and processor time in seconds, peak resident bytes of its largest process."""

    wall: float
    cpu: float
    rss: int


def environment_of(name: str, requirements: Sequence[str]) -> Path:
    """Return the `bin` folder of a virtual environment with these packages, made at the first call."""
    folder = Path.home() / ".cache" / "suture-peers" / name
    if not (folder / ".installed").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin/python", "-m", "pip", "install", "--quiet", *requirements], check=True)
        (folder / ".installed").touch()
    return folder / "bin"


_ACCOUNTANT = """
import json, os, sys, time
started = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
told = [time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024]
os.write(3, json.dumps(told).encode())
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""Starts a command from a process of 10 MB: Linux counts a parent's memory as the peak of the child it starts."""


def timed(command: Sequence[str | Path], *, log: Path, environment: Mapping[str, str] | None = None) -> Run:
    """Run a command to its end and account for it, its children included.

    Raises:
        RuntimeError: When it fails, with the end of its log.
    """
    os.sync()  # what the last command wrote must not slow this one down
    reader, writer = os.pipe()
    with log.open("wb") as sink:
        child = subprocess.Popen(
            ["bash", "-c", f'exec 3>&{writer}; exec "$@"', "bash", sys.executable, "-I", "-S", "-c", _ACCOUNTANT]
            + [str(part) for part in command],
            stdout=sink,
            stderr=subprocess.STDOUT,
            pass_fds=[writer],
            env={**os.environ, **(environment or {})},
        )
        os.close(writer)
        told = os.read(reader, 1000)
        os.close(reader)
        if child.wait():
            raise RuntimeError(f"{command[0]} failed:\n" + log.read_text(errors="replace")[-3000:])
    wall, cpu, rss = json.loads(told)
    return Run(wall, cpu, rss)
