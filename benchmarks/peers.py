"""Other tools, each in a virtual environment of its own, to be measured beside Suture."""

from __future__ import annotations

import os
import subprocess
import sys
import time
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


def timed(command: Sequence[str | Path], *, log: Path, environment: Mapping[str, str] | None = None) -> Run:
    """Run a command to its end and account for it, its children included.

    Raises:
        RuntimeError: When it fails, with the end of its log.
    """
    os.sync()  # what the last command wrote must not slow this one down
    with log.open("wb") as sink:
        started = time.perf_counter()
        child = subprocess.Popen(
            [str(part) for part in command],
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{command[0]} failed:\n" + log.read_text(errors="replace")[-3000:])
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)
