"""What was seen inside a model while it read a text."""

from __future__ import annotations

from suture.report.data.row import Estimate, Row
from suture.report.inputs import Role


class LayerData(Row):
    """What one layer does to the residual stream: means over tokens, errors over chunks of text."""

    norm: Estimate
    """Length of the stream after the layer."""
    cosine: Estimate
    """Between the stream before and after the layer: 1 where it does not turn it."""
    added: Estimate
    """Size of what the layer adds, relative to the stream before it."""


class PositionData(Row):
    """How well the tokens at some places of a chunk were predicted."""

    first: int
    """First place; the first token of a chunk is 0."""
    last: int
    """Last place, inclusive."""
    losses: tuple[float, ...]
    """Mean negative log-likelihood per token of each chunk, in nats."""

    @property
    def tokens(self) -> int:
        """Tokens of each chunk."""
        return self.last - self.first + 1


class ProbeData(Row):
    """One model."""

    name: str
    title: str
    """What a sentence calls it."""
    role: Role
    key: str
    """Key of the probe's artifact."""
    text: str
    chunks: int
    context: int
    """Tokens per chunk."""
    device: str
    start: Estimate
    """Length of the residual stream before the first layer."""
    layers: tuple[LayerData, ...]
    """From the first layer to the last."""
    positions: tuple[PositionData, ...]
    """From the beginning of a chunk to its end."""
