"""What the probes saw: which of a merge's layers is which of a source's, and the perplexity by position."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from suture.report.data import Estimate, LayerData, MergeData, PositionData, ProbeData, StackPart
from suture.report.facts import ProbeFacts, Shelf, facts_of
from suture.report.inputs import ProbeView
from suture.statistics import mean

STRETCHES = 8
"""Stretches of a chunk that a reader is shown."""


def probe_of(view: ProbeView, title: str, shelf: Shelf) -> ProbeData | None:
    """Return what was seen inside a model, or None when the run did not come to it."""
    facts = facts_of(ProbeFacts, view.key, shelf)
    if facts is None:
        return None
    seen = facts.model_dump()
    return ProbeData.model_validate({"name": view.name, "title": title, "role": view.role, "key": view.key, **seen})


# -- layers -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seam:
    """A place where a layer follows on one that it was not trained to follow.

    Attributes:
        layer: The layer after the seam, as the merge counts.
        source: The source that this layer is from.
        layer_of_source: Its number there.
    """

    layer: int
    source: str
    layer_of_source: int


def seams_of(merge: MergeData) -> tuple[Seam, ...]:
    """Return the seams of a stack; none of a blend, whose layers are of several sources at once."""
    if merge.account is None:
        return ()
    starts = dict(placed(merge))
    return tuple(
        Seam(layer, starts[layer].source, starts[layer].first) for layer in merge.account.seams if layer in starts
    )


def placed(merge: MergeData) -> list[tuple[int, StackPart]]:
    """Return each part of a stack with the number that its first layer has in the merge."""
    found: list[tuple[int, StackPart]] = []
    start = 0
    for part in merge.stack:
        found.append((start, part))
        start += part.last - part.first + 1
    return found


def layers_of_source(probe: ProbeData, merge: MergeData) -> list[tuple[int, Sequence[LayerData]]]:
    """Return a source's layers where a stack has them, each run with its place; all of them beside a blend."""
    if not merge.stack:
        return [(0, probe.layers)]
    return [
        (start, probe.layers[part.first : part.last + 1])
        for start, part in placed(merge)
        if part.source == probe.name
    ]


# -- positions --------------------------------------------------------------------------------------------------


def stretches(positions: Sequence[PositionData], count: int = STRETCHES) -> list[Sequence[PositionData]]:
    """Return the positions in `count` stretches of equally many."""
    each = len(positions) // count
    return [positions[start : start + each] for start in range(0, len(positions), each)]


def losses_of(positions: Sequence[PositionData]) -> list[float]:
    """Return each chunk's mean negative log-likelihood per token over some positions, in nats."""
    tokens = sum(position.tokens for position in positions)
    return [
        math.fsum(position.tokens * loss for position, loss in zip(positions, chunk, strict=True)) / tokens
        for chunk in zip(*(position.losses for position in positions), strict=True)
    ]


def perplexity_of(positions: Sequence[PositionData]) -> Estimate:
    """Return the perplexity over some positions; its standard error is that over the chunks."""
    found = mean(losses_of(positions))
    value = math.exp(found.value)
    return Estimate(value=value, error=value * found.error)
