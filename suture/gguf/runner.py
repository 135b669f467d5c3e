"""Running one of llama.cpp's tools."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from suture.errors import ProcessError
from suture.process import Completed, run

_FULL_BYTES = 2**20
"""Fewer free bytes than this, right after a tool failed, are why it failed: it only says that it could not write."""


_RUNS = 3
"""How often a tool is run that ends well and has not told its numbers."""

_NO_NUMBER = re.compile(r"\bnan\b|Unexpected negative standard deviation")
"""What the tools print where they have come to none."""

Numbers = TypeVar("Numbers")


def environment(**extra: str) -> dict[str, str]:
    """Return this process's environment without the variables that llama.cpp would take for options.

    `LLAMA_ARG_*` sets whatever the command line leaves out, and `AIP_*` moves the server to another port: results
    would depend on them, and keys would not know.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LLAMA_", "AIP_"))}
    return kept | extra


def run_tool(
    argv: Sequence[str | Path],
    *,
    log: Path,
    doing: str,
    on_line: Callable[[str], None] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Completed:
    """Run a tool that writes beside its log.

    Args:
        argv: The command.
        log: File that receives what it writes.
        doing: What this is for, as an error would say it.
        on_line: Called with each line of output.
        env: Its whole environment; `environment()` when None.
        cwd: Its working directory, for tools that write the paths they are given into their files.

    Raises:
        ProcessError: When it fails.
        OSError: ENOSPC, when it fails and the disk is full: a tool only says that it could not write.
    """
    try:
        return run(argv, log=log, doing=doing, cwd=cwd, env=env or environment(), on_line=on_line)
    except ProcessError:
        require_room(log.parent)
        raise


def run_until_told(
    attempt: Callable[[], Completed], read: Callable[[str], Numbers | None], log: Path
) -> Numbers | None:
    """Run a tool that prints its numbers last, again if it has ended well and has not printed them.

    llama.cpp prints by a thread of its own, which the end of the process may come before: on a busy machine the last
    lines are lost, once in some hundred runs, and the status is 0 (its issue 22142).

    Args:
        attempt: Runs it.
        read: Finds the numbers in its output; None where they are not all there.
        log: What it writes; begun anew for each run.

    Returns:
        The numbers; None where it came to none, or lost them every time.
    """
    for _ in range(_RUNS):
        log.unlink(missing_ok=True)
        output = attempt().output
        numbers = read(output)
        if numbers is not None or _NO_NUMBER.search(output):
            return numbers
    return None


def require_room(folder: Path) -> None:
    """Check that a tool that wrote into a folder had the room for it.

    Raises:
        OSError: ENOSPC, when the disk is full.
    """
    if shutil.disk_usage(folder).free < _FULL_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
