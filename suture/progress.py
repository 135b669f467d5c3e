"""How long work tells what it has done: one small protocol, shown by whoever called."""

from __future__ import annotations

import sys
import time
from typing import Protocol

_LONGEST_PAUSE = 60.0
"""Seconds."""


class Progress(Protocol):
    """Receives what a step has done so far. Calls are cheap; the receiver decides what to show."""

    def update(self, done: float, total: float, unit: str, note: str = "") -> None:
        """Report `done` of `total` in `unit` (bytes, tensors, steps, ...), and what else is to be seen of it now."""
        ...

    def say(self, message: str) -> None:
        """Report one line worth reading."""
        ...


class Silent:
    """Shows nothing."""

    def update(self, done: float, total: float, unit: str, note: str = "") -> None:
        """Ignore."""

    def say(self, message: str) -> None:
        """Ignore."""


class Lines:
    """Writes plain lines to standard error, at most one every `interval` seconds.

    Where no end is known (a wait for another step), each pause is twice the one before, up to a minute.

    Args:
        label: What the work is called.
        interval: Seconds between two progress lines.
    """

    def __init__(self, label: str, interval: float = 5.0) -> None:
        self._label = label
        self._interval = interval
        self._pace = Pace()
        self._last = 0.0
        self._pause = interval

    def update(self, done: float, total: float, unit: str, note: str = "") -> None:
        """Write a line with share, amount, time left and the note, if one is due."""
        line = self._pace.describe(done, total, unit, note)
        now = time.monotonic()
        if total > 0:
            self._pause = self._interval
        if now - self._last >= self._pause:
            self._last = now
            self._pause = max(self._interval, min(2 * self._pause, _LONGEST_PAUSE))
            self.say(line)

    def say(self, message: str) -> None:
        """Write one line."""
        sys.stderr.write(f"{self._label}: {message}\n")
        sys.stderr.flush()


class Pace:
    """Describes work in progress, with the time left.

    Speed is measured from the first report in a unit on: what lies before it (waiting for a turn, loading a model),
    and what an earlier attempt had done already, is not how fast the work goes.
    """

    def __init__(self) -> None:
        self._first: tuple[float, float, str] | None = None

    def describe(self, done: float, total: float, unit: str, note: str = "") -> str:
        """Return one line such as `40 %  1.20 GB / 3.00 GB  12 s left`.

        Args:
            done: Amount done.
            total: Amount in all; 0 when unknown.
            unit: Name of the unit; `bytes` is shown in MB and GB.
            note: What stands at the end of the line.
        """
        now = time.monotonic()
        if self._first is None or done < self._first[1] or unit != self._first[2]:  # a second phase has begun
            self._first = (now, done, unit)
        began, before, _ = self._first
        left = (now - began) * (total - done) / (done - before) if done > before else None
        line = describe(done, total, unit, left)
        return f"{line}  {note}" if note else line


def describe(done: float, total: float, unit: str, left: float | None) -> str:
    """Return one line for work in progress; `left` is the seconds it will still take, None when unknown."""
    if total <= 0:
        return human_bytes(done) if unit == "bytes" else f"{done:g} {unit}"
    amount = f"{human_bytes(done)} / {human_bytes(total)}" if unit == "bytes" else f"{done:g} / {total:g} {unit}"
    remaining = "" if left is None else f"  {human_seconds(left)} left"
    return f"{100 * done / total:3.0f} %  {amount}{remaining}"


def human_bytes(size: float) -> str:
    """Return a size in decimal units, as disks and the hub count: `33.15 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.2f} {unit}"
        size /= 1000
    return f"{size:.2f} TB"


def human_seconds(seconds: float) -> str:
    """Return a duration as `48 s`, `3 min 20 s` or `14 h 02 min`."""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 90:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
