"""What every part of a report is made of: numbers with their errors."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Row(BaseModel):
    """What every part of a report has in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Estimate(Row):
    """A measured number."""

    value: float
    error: float
    """One standard error."""


class Interval(Row):
    """A 95 % confidence interval."""

    low: float
    high: float


class Difference(Row):
    """How far one model's log-perplexity lies above another's: nats per token; negative where it predicts better."""

    value: float
    error: float
    """One standard error."""
    interval: Interval
    p: float
    """Two-sided p-value of there being no difference."""
    chunks: int
    """Chunks of text that both models read and that were compared one by one; 0 where the two perplexities were
    compared as if they had read different texts."""
