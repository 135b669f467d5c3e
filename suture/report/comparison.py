"""Comparing arms by perplexity: on the log scale, with errors, and without claiming what the errors forbid.

Arms of one tokenizer read the same chunks of the same texts. What makes a chunk hard is hard for both, so the
differences chunk by chunk scatter far less than the chunks do: they are what is compared, with Student's interval
over the chunks. Each text is a sample of its own, because a model may gain on one and lose on another. The interval
says what other chunks of these texts would show, not other texts or another training.

Arms whose chunks are not known, or not the same, are compared as if they had read different texts. Their errors
rise and fall together all the same, so that intervals are too wide then: a difference called detectable is one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from suture.report.data import ArmData, Difference, Estimate, Interval, MergeData, Recovery
from suture.statistics import CONFIDENCE, Sampled, Z, mean, weighted


@dataclass(frozen=True)
class Measured:
    """An arm whose perplexity was measured.

    Attributes:
        arm: The row of the scoreboard.
        perplexity: Over all held-out texts.
    """

    arm: ArmData
    perplexity: Estimate


@dataclass(frozen=True)
class Rivals:
    """The measured arms of one quantization type: only these are compared with each other.

    Attributes:
        quant: The type.
        source: The model of the lowest perplexity among those that the final merge is made of.
        merged: The final merge.
        healed: The healed merge.
        control: The source that was trained like the healed merge.
        merges: Every merge, stages among them.
        apart: Sources that no merge uses.
    """

    quant: str
    source: Measured | None
    merged: Measured | None
    healed: Measured | None
    control: Measured | None
    merges: tuple[Measured, ...]
    apart: tuple[Measured, ...]


def rivals(arms: Sequence[ArmData], merges: Sequence[MergeData]) -> list[Rivals]:
    """Return the arms by quantization type; references stand outside."""
    inside = [arm for arm in arms if arm.role != "reference"]
    quants = dict.fromkeys(arm.quant for arm in inside)
    return [_rivals(quant, [arm for arm in inside if arm.quant == quant], merges) for quant in quants]


def recoveries(arms: Sequence[ArmData], merges: Sequence[MergeData]) -> tuple[Recovery, ...]:
    """Return how much of the merge's damage healing mended, for each quantization type where both were measured."""
    return tuple(
        Recovery(
            quant=group.quant,
            of_source=recovery(raw, healed, group.source) if group.source else None,
            of_control=recovery(raw, healed, group.control) if group.control else None,
        )
        for group in rivals(arms, merges)
        if (raw := group.merged) and (healed := group.healed)
    )


# -- differences ----------------------------------------------------------------------------------------------


def difference(first: Measured, second: Measured) -> Difference:
    """Return log(first / second) of two arms' perplexities over all texts."""
    texts = _shared_texts(first.arm, second.arm)
    if not texts:
        return log_ratio(first.perplexity, second.perplexity)
    return _paired([_apart(first.arm, second.arm, text) for text in texts])


def text_difference(first: ArmData, second: ArmData, text: str) -> Difference:
    """Return log(first / second) of two arms' perplexities on one text, which both were measured on."""
    if text not in _shared_texts(first, second):
        return log_ratio(first.perplexities[text], second.perplexities[text])
    return _paired([_apart(first, second, text)])


def as_difference(found: Sampled, chunks: int) -> Difference:
    """Return a mean difference over so many chunks, with its interval."""
    low, high = found.interval
    return Difference(
        value=found.value, error=found.error, interval=Interval(low=low, high=high), p=found.p, chunks=chunks
    )


def log_ratio(first: Estimate, second: Estimate) -> Difference:
    """Return log(first / second) of two independent numbers; its error from their relative errors."""
    value = math.log(first.value / second.value)
    error = math.hypot(first.error / first.value, second.error / second.value)
    return Difference(
        value=value,
        error=error,
        interval=Interval(low=value - Z * error, high=value + Z * error),
        p=2 * NormalDist().cdf(-abs(value) / error) if error else float(value == 0),
        chunks=0,
    )


def excess(found: Difference) -> Estimate:
    """Return by which share the first perplexity is higher than the second; negative when it is lower."""
    return Estimate(value=math.expm1(found.value), error=math.exp(found.value) * found.error)


def detectable(found: Difference) -> bool:
    """Return whether a difference is further from 0 than its error explains at 95 % confidence."""
    return found.p < 1 - CONFIDENCE


def recovery(raw: Measured, healed: Measured, yardstick: Measured) -> Estimate | None:
    """Return (log raw - log healed) / (log raw - log yardstick), or None when there is no gap to close.

    Its error by the delta method: with r the recovery and g the gap, the derivatives by the logarithms of raw,
    healed and yardstick are (1 - r) / g, -1 / g and r / g. Where all three read the same chunks, it is the error of
    the mean over the chunks of that same combination.
    """
    gap = difference(raw, yardstick)
    if gap.value <= 0 or not detectable(gap):
        return None
    share = difference(raw, healed).value / gap.value
    slopes = ((1 - share, raw), (-1, healed), (share, yardstick))
    texts = _shared_texts(raw.arm, healed.arm, yardstick.arm)
    if not texts:
        error = math.hypot(*(slope * each.perplexity.error / each.perplexity.value for slope, each in slopes))
        return Estimate(value=share, error=error / gap.value)
    samples = [
        [
            math.fsum(terms)
            for terms in zip(
                *([slope * loss for loss in each.arm.chunks[text]] for slope, each in slopes), strict=True
            )
        ]
        for text in texts
    ]
    return Estimate(value=share, error=_over_texts(samples).error / gap.value)


def _shared_texts(*arms: ArmData) -> tuple[str, ...]:
    """Return the texts that arms read in the same chunks, if they all read the same texts like that."""
    first = arms[0]
    counts = {text: len(chunks) for text, chunks in first.chunks.items()}
    same = all(
        arm.tokenizer == first.tokenizer and {text: len(chunks) for text, chunks in arm.chunks.items()} == counts
        for arm in arms
    )
    return tuple(counts) if first.tokenizer and same and min(counts.values(), default=0) > 1 else ()


def _apart(first: ArmData, second: ArmData, text: str) -> list[float]:
    return [a - b for a, b in zip(first.chunks[text], second.chunks[text], strict=True)]


def _paired(samples: Sequence[Sequence[float]]) -> Difference:
    return as_difference(_over_texts(samples), sum(len(sample) for sample in samples))


def _over_texts(samples: Sequence[Sequence[float]]) -> Sampled:
    """Return the mean over several texts, weighted by their chunks as their perplexities are by their tokens."""
    total = sum(len(sample) for sample in samples)
    return weighted([mean(sample) for sample in samples], [len(sample) / total for sample in samples])


# -- groups ---------------------------------------------------------------------------------------------------


def _rivals(quant: str, arms: Sequence[ArmData], merges: Sequence[MergeData]) -> Rivals:
    measured = [Measured(arm, arm.perplexity) for arm in arms if arm.perplexity is not None]
    used = {source for merge in merges for source in merge.sources}
    parents = merges[-1].parents if merges else ()
    by_role = {each.arm.role: each for each in measured}  # of the merges, the final one comes last
    merged = by_role.get("merged")
    return Rivals(
        quant=quant,
        source=lowest([each for each in measured if each.arm.model in parents]),
        merged=merged if merged and merged.arm.is_final else None,
        healed=by_role.get("healed"),
        control=by_role.get("control"),
        merges=tuple(each for each in measured if each.arm.role == "merged"),
        apart=tuple(each for each in measured if each.arm.role == "source" and each.arm.model not in used),
    )


def lowest(arms: Sequence[Measured]) -> Measured | None:
    """Return the arm of the lowest perplexity."""
    return min(arms, key=lambda each: each.perplexity.value, default=None)
