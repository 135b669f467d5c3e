"""Comparing arms by perplexity: on the log scale, with errors, and without claiming what the errors forbid.

The arms read the same texts, so their errors rise and fall together and the error of a difference is smaller than
the one computed here as if they were independent: a difference called detectable is one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from suture.report.data import ArmData, Estimate, Recovery
from suture.statistics import Z


@dataclass(frozen=True)
class Measured:
    """An arm whose perplexity was measured.

    Attributes:
        title: What a sentence calls it.
        name: What the scoreboard calls it.
        perplexity: Over all held-out texts.
    """

    title: str
    name: str
    perplexity: Estimate


@dataclass(frozen=True)
class Rivals:
    """The measured arms of one quantization type: only these are compared with each other.

    Attributes:
        quant: The type.
        source: The source of the lowest perplexity.
        merged: The raw merge.
        healed: The healed merge.
        control: The source that was trained like the healed merge.
    """

    quant: str
    source: Measured | None
    merged: Measured | None
    healed: Measured | None
    control: Measured | None


def rivals(arms: Sequence[ArmData]) -> list[Rivals]:
    """Return the arms by quantization type; references stand outside."""
    inside = [arm for arm in arms if arm.role != "reference"]
    quants = dict.fromkeys(arm.quant for arm in inside)
    return [_rivals(quant, [arm for arm in inside if arm.quant == quant]) for quant in quants]


def recoveries(arms: Sequence[ArmData]) -> tuple[Recovery, ...]:
    """Return how much of the merge's damage healing mended, for each quantization type where both were measured."""
    return tuple(
        Recovery(
            quant=group.quant,
            of_source=recovery(raw.perplexity, healed.perplexity, group.source.perplexity) if group.source else None,
            of_control=recovery(raw.perplexity, healed.perplexity, group.control.perplexity)
            if group.control
            else None,
        )
        for group in rivals(arms)
        if (raw := group.merged) and (healed := group.healed)
    )


def title(arm: ArmData) -> str:
    """Return what a sentence calls an arm: its name alone may read like an article."""
    titles = {"merged": "the raw merge", "healed": "the healed merge", "control": "the control"}
    if arm.role not in titles:
        return f"{arm.role} {arm.name}"
    return titles[arm.role] + arm.name.removeprefix(arm.role)  # `merged Q8_0`, where there are several types


def log_ratio(first: Estimate, second: Estimate) -> Estimate:
    """Return log(first / second) of two perplexities; its error from their relative errors."""
    return Estimate(
        value=math.log(first.value / second.value),
        error=math.hypot(first.error / first.value, second.error / second.value),
    )


def excess(first: Estimate, second: Estimate) -> Estimate:
    """Return by which share the first perplexity is higher than the second; negative when it is lower."""
    ratio = log_ratio(first, second)
    return Estimate(value=math.expm1(ratio.value), error=math.exp(ratio.value) * ratio.error)


def detectable(difference: Estimate) -> bool:
    """Return whether a difference is further from 0 than its error explains at 95 % confidence."""
    return abs(difference.value) > Z * difference.error


def recovery(raw: Estimate, healed: Estimate, yardstick: Estimate) -> Estimate | None:
    """Return (log raw - log healed) / (log raw - log yardstick), or None when there is no gap to close.

    Its error by the delta method: with r the recovery and g the gap, the derivatives by the logarithms of raw,
    healed and yardstick are (1 - r) / g, -1 / g and r / g.
    """
    gap = log_ratio(raw, yardstick)
    if gap.value <= 0 or not detectable(gap):
        return None
    share = log_ratio(raw, healed).value / gap.value
    parts = (
        (1 - share) * raw.error / raw.value,
        healed.error / healed.value,
        share * yardstick.error / yardstick.value,
    )
    return Estimate(value=share, error=math.hypot(*parts) / gap.value)


def _rivals(quant: str, arms: Sequence[ArmData]) -> Rivals:
    measured: dict[str, list[Measured]] = {}
    for arm in arms:
        if arm.perplexity is not None:
            measured.setdefault(arm.role, []).append(Measured(title(arm), arm.name, arm.perplexity))

    def best(role: str) -> Measured | None:
        return min(measured.get(role, []), key=lambda arm: arm.perplexity.value, default=None)

    return Rivals(quant, best("source"), best("merged"), best("healed"), best("control"))
