"""Running one of llama.cpp's tools."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from suture.errors import ProcessError
from suture.process import Completed, run

_FULL_BYTES = 2**20
"""Fewer free bytes than this, right after a tool failed, are why it failed: it only says that it could not write."""


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


def require_room(folder: Path) -> None:
    """Check that a tool that wrote into a folder had the room for it.

    Raises:
        OSError: ENOSPC, when the disk is full.
    """
    if shutil.disk_usage(folder).free < _FULL_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
