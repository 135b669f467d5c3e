"""Where merges stand against what they are made of, text by text.

A merge of a code model and a prose model is worth having when it is better than both on code *and* on prose; the
mean over the texts can hide that it is not. On each text the parent of the lowest perplexity is the one to beat.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from suture.report.comparison import Rivals, detectable, rivals, text_difference
from suture.report.data import ArmData, Difference, Finding, MergeData, Standing
from suture.report.numbers import apart, capital
from suture.statistics import CONFIDENCE, holm


def standings(arms: Sequence[ArmData], merges: Sequence[MergeData]) -> tuple[Standing, ...]:
    """Return where each measured merge stands, and beside them each source that no merge uses.

    Nothing for a single stack: the scoreboard says all there is to say of it.
    """
    if len(merges) == 1 and not merges[0].models:
        return ()
    return tuple(standing for group in rivals(arms, merges) for standing in _group(group, arms, merges))


def _group(group: Rivals, arms: Sequence[ArmData], merges: Sequence[MergeData]) -> Iterator[Standing]:
    by_name = {merge.name: merge for merge in merges}
    for each in (*group.merges, *group.apart):
        merge = by_name.get(each.arm.model, merges[-1])
        parents = [arm for arm in arms if arm.quant == group.quant and arm.model in merge.parents]
        method = merge.method if each.arm.role == "merged" else ""
        yield from _standings(each.arm, method, parents)


def _standings(arm: ArmData, method: str, parents: Sequence[ArmData]) -> Iterator[Standing]:
    for text, perplexity in arm.perplexities.items():
        measured = [parent for parent in parents if text in parent.perplexities]
        if not measured:
            continue
        best = min(measured, key=lambda parent: parent.perplexities[text].value)
        differences = [text_difference(arm, parent, text) for parent in measured]
        yield Standing(
            model=arm.name,
            role=arm.role,
            method=method,
            text=text,
            perplexity=perplexity,
            parent=best.name,
            difference=differences[measured.index(best)],
            verdict=verdict(differences),
            p=max(each.p if each.value < 0 else 1.0 for each in differences),
        )


def verdict(differences: Sequence[Difference]) -> Literal["better", "even", "between", "worse"]:
    """Return what the differences to all parents say together.

    To claim that something is better than each of several needs no correction for their number: the claim is wrong
    only if it is wrong about one of them (Berger 1982).
    """
    told = [detectable(each) for each in differences]
    if all(each and found.value < 0 for each, found in zip(told, differences, strict=True)):
        return "better"
    worse = [each and found.value > 0 for each, found in zip(told, differences, strict=True)]
    if all(worse):
        return "worse"
    return "between" if any(worse) else "even"


def against_parents(group: Rivals, rows: Sequence[Standing]) -> Iterator[Finding]:
    """Yield which merges of a group beat each of their parents on every text, corrected for trying several."""
    by_merge = {each.arm.name: [row for row in rows if row.model == each.arm.name] for each in group.merges}
    by_merge = {name: standing for name, standing in by_merge.items() if standing}
    if not by_merge:
        return
    p_values = holm([max(row.p for row in standing) for standing in by_merge.values()])
    winners = [name for name, p in zip(by_merge, p_values, strict=True) if p < 1 - CONFIDENCE]
    shortlist = [each for each in group.merges if each.arm.name in (winners or by_merge)]
    best = min(shortlist, key=lambda each: each.perplexity.value)
    shown = by_merge[best.arm.name]
    texts = "; ".join(f"on {row.text} {apart(row.difference, than=row.parent)}" for row in shown)
    corrected = f" Corrected for {len(by_merge)} merges (Holm)." if len(by_merge) > 1 else ""
    never_worse = any(all(row.verdict in ("better", "even") for row in standing) for standing in by_merge.values())
    yield Finding(
        about="merge",
        tone="gain" if winners else "even" if never_worse else "loss",
        text=_claim(winners, len(by_merge), best.arm.title),
        numbers=f"{capital(best.arm.title)}: {texts}.{corrected}",
    )


def _claim(winners: Sequence[str], merges: int, title: str) -> str:
    if merges == 1:
        return f"{capital(title)} {'is' if winners else 'is not'} better than each of its parents on every text."
    if not winners:
        return "No merge is detectably better than each of its parents on every text."
    are = "are" if len(winners) > 1 else "is"
    return f"{len(winners)} of {merges} merges {are} better than each parent on every text: {', '.join(winners)}."
