"""A measured number."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """A number with its standard error."""

    value: float
    error: float
