"""Short commands of outside tools."""

from __future__ import annotations

import tempfile
from pathlib import Path

from suture.process import run

_SECONDS = 8.0


def output_of(*command: str | Path) -> str:
    """Return what a short command writes.

    Raises:
        ProcessError: When it fails, or does not end.
    """
    with tempfile.TemporaryDirectory(prefix="suture-doctor-") as folder:
        log = Path(folder) / "log"
        return run(command, log=log, doing=f"running {command[0]}", timeout=_SECONDS).output
