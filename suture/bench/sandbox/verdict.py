"""How the run of a program ended, from what its supervisor saw."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import cast

from suture.bench.sandbox.form import Limits, Outcome

_OUT_OF_MEMORY = re.compile(
    r"^(?:MemoryError\b|OperationalError: out of memory|FATAL ERROR: .*out of memory|"
    r"RangeError: Array buffer allocation failed)",
    re.MULTILINE,
)
_OUT_OF_SPACE = re.compile(
    r"^(?:OSError: \[Errno 2[78]\]|Error: (?:EFBIG|ENOSPC)\b|OperationalError: database or disk is full)",
    re.MULTILINE,
)
"""How an error that was not caught names itself, at the start of a line, in Python, SQLite and node."""


@dataclass(frozen=True)
class End:
    """What the supervisor says.

    Attributes:
        why: The limit that it found passed: `timeout`, `memory` or `output`; empty when the program ended before.
        report: What `confine` said, in lines: `begins` and when, `failed` and what.
        status: Exit status of the command; negative for a signal; None when it had not ended.
        cpu_seconds: CPU time of all that was waited for.
        seconds: Wall time.
    """

    why: str
    report: str
    status: int | None
    cpu_seconds: float
    seconds: float

    @property
    def begun(self) -> bool:
        """Whether the program itself was reached."""
        return self.report.startswith("begins") and "failed" not in self.report


def verdict(end: End, limits: Limits, written: int, errors: str) -> tuple[Outcome, int | None]:
    """Return the outcome and, where it ended by itself, the exit status.

    Args:
        end: What the supervisor says.
        limits: What it was allowed.
        written: Bytes of stdout or stderr, whichever has more; they end one byte past the limit.
        errors: The end of stderr.
    """
    if end.why in ("timeout", "memory", "output"):
        return cast("Outcome", end.why), None
    number = _signal(end.status)
    if written > limits.output or number == signal.SIGXFSZ:
        return "output", None
    if number == signal.SIGXCPU or (number == signal.SIGKILL and end.cpu_seconds >= limits.cpu_seconds):
        return "timeout", None
    if end.status != 0 and _OUT_OF_MEMORY.search(errors):
        return "memory", None
    if end.status != 0 and _OUT_OF_SPACE.search(errors):
        return "output", None
    return ("killed", None) if number else ("done", end.status)


def _signal(status: int | None) -> int:
    """Return the signal that ended it, 0 for none; bubblewrap gives back 128 and its number, as shells do."""
    number = 0 if status is None else -status if status < 0 else status - 128
    return number if number in signal.valid_signals() else 0
