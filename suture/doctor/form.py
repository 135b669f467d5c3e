"""What a check finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from suture.recipe import Part

State = Literal["ok", "warning", "broken"]


class Finding(Part):
    """What one check found."""

    state: State
    """`warning`: all goes, but slower or less safely than it could, or not everything does. `broken`: runs fail."""

    found: str
    """In a sentence or less."""

    mend: str = ""
    """Command to paste; a comment (`# ...`) where only words help, and empty where nothing is to be mended."""


Check = Callable[[], Finding]


def ok(found: str) -> Finding:
    """Return that all is well."""
    return Finding(state="ok", found=found)


def warning(found: str, mend: str = "") -> Finding:
    """Return that it goes, but could go better."""
    return Finding(state="warning", found=found, mend=mend)


def broken(found: str, mend: str) -> Finding:
    """Return that runs fail."""
    return Finding(state="broken", found=found, mend=mend)
