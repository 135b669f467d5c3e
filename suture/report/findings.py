"""What the numbers say, in sentences; where they cannot tell, the sentence says that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from suture.recipe import Recipe
from suture.report.comparison import Measured, Rivals, detectable, difference, log_ratio, lowest, rivals
from suture.report.data import ArmData, Difference, Estimate, Finding, Recovery, ReportData, Rivalry
from suture.report.numbers import apart, capital, percent, probability, size, speed, times, with_error
from suture.report.seams import seam_findings
from suture.report.standings import against_parents

Tone = Literal["gain", "loss", "even"]
Verdicts = Mapping[Tone, str]
"""How a sentence begins, by what the numbers say."""


def find(data: ReportData, recipe: Recipe) -> tuple[Finding, ...]:
    """Return the findings, the most important first."""
    groups = rivals(data.arms, data.merges)
    recovered = {recovery.quant: recovery for recovery in data.recovery}
    found: list[Finding] = []
    for group in groups:
        arms = [arm for arm in data.arms if arm.quant == group.quant]
        sentences = [
            *_merge(group),
            *against_parents(group, data.standings),
            *_against_sources_apart(group),
            *_healing(group, recovered.get(group.quant)),
            *_cost(group, arms),
        ]
        prefix = f"{group.quant}: " if len(groups) > 1 else ""
        found += [sentence.model_copy(update={"text": f"{prefix}{sentence.text}"}) for sentence in sentences]
    found += seam_findings(data.probes, data.merges)
    return (*_missing(data.arms), *found, *_tests(data.rivalries), *_notes(data, recipe))


# -- perplexity -----------------------------------------------------------------------------------------------


def _merge(group: Rivals) -> Iterator[Finding]:
    merged, source = group.merged, group.source
    if merged is None or source is None:
        return
    yield _compared("merge", merged, source, _against_sources(merged.arm.title))


def _against_sources_apart(group: Rivals) -> Iterator[Finding]:
    """Compare the best merge with each source that no merge uses, such as a child trained on the whole mixture."""
    best = lowest(group.merges)
    if best is None:
        return
    for source in group.apart:
        which = best.arm.title + (f", the best of {len(group.merges)}," if len(group.merges) > 1 else "")
        verdicts: Verdicts = {
            "gain": f"{which} beats {source.arm.title}, which no merge uses.",
            "even": f"Between {which} and {source.arm.title}, which no merge uses, no difference is detectable.",
            "loss": f"{which} does not reach {source.arm.title}, which no merge uses.",
        }
        yield _compared("merge", best, source, verdicts)


def _healing(group: Rivals, recovered: Recovery | None) -> Iterator[Finding]:
    healed = group.healed
    if healed is None:
        return
    if group.merged is not None:
        yield _healed_against_raw(group.merged, healed, recovered.of_source if recovered else None)
    if group.source is not None:
        yield _compared("healing", healed, group.source, _against_sources(healed.arm.title))
    if group.control is not None:
        yield _healed_against_control(healed, group.control, recovered.of_control if recovered else None)


def _healed_against_raw(raw: Measured, healed: Measured, recovered: Estimate | None) -> Finding:
    found = difference(healed, raw)
    share = f" and closed {percent(recovered)} of the gap to the best source" if recovered else ""
    tone = _tone(found)
    text = {
        "gain": f"Healing lowered the perplexity of the merge{share}.",
        "even": "Healing made no detectable difference.",
        "loss": "Healing made the merge worse.",
    }[tone]
    both = f"{with_error(raw.perplexity)} before, {with_error(healed.perplexity)} after"
    return Finding(about="healing", tone=tone, text=text, numbers=f"Perplexity {both}: {apart(found)}.")


def _healed_against_control(healed: Measured, control: Measured, recovered: Estimate | None) -> Finding:
    verdicts: Verdicts = {
        "gain": "The healed merge beats the control, a source trained alike: it gained more than training.",
        "even": "Between the healed merge and the control, a source trained alike, no difference is detectable.",
        "loss": "The healed merge does not reach the control, a source trained alike.",
    }
    share = (
        f" Of the gap from the raw merge to the control, healing closed {percent(recovered)}." if recovered else ""
    )
    return _compared("control", healed, control, verdicts, share)


def _against_sources(what: str) -> Verdicts:
    return {
        "gain": f"{what} beats its sources.",
        "even": f"Between {what} and its best source no difference is detectable.",
        "loss": f"{what} does not beat its sources.",
    }


def _compared(
    about: Literal["merge", "healing", "control"],
    arm: Measured,
    other: Measured,
    verdicts: Verdicts,
    more: str = "",
) -> Finding:
    """Return a verdict on `Perplexity 37.4 ± 0.9 against 20.1 ± 0.4 of a: 86 ± 2 % higher on the same 32 chunks.`."""
    found = difference(arm, other)
    tone = _tone(found)
    both = f"{with_error(arm.perplexity)} against {with_error(other.perplexity)} of {other.arm.title}"
    return Finding(
        about=about, tone=tone, text=capital(verdicts[tone]), numbers=f"Perplexity {both}: {apart(found)}.{more}"
    )


def _tone(found: Difference) -> Tone:
    if not detectable(found):
        return "even"
    return "gain" if found.value < 0 else "loss"


# -- tests, cost, what is missing -------------------------------------------------------------------------------


def _tests(pairs: Sequence[Rivalry]) -> Iterator[Finding]:
    if not pairs:
        return
    method = f"exact McNemar test of each pair, corrected for {len(pairs)} pairs"
    different = [pair for pair in pairs if pair.is_detectable]
    for pair in different:
        text = f"On the tests {pair.first} is better than {pair.second}."
        answers = f"{pair.first_passed} of {pair.answers} against {pair.second_passed} of {pair.answers}"
        numbers = f"{answers}, p = {probability(pair.adjusted)} ({method})."
        yield Finding(about="tests", tone="note", text=text, numbers=numbers)
    if not different:
        tests = pairs[0].tests
        text = f"On {tests} {'test' if tests == 1 else 'tests'} there is no detectable difference"
        smallest = probability(min(pair.adjusted for pair in pairs))
        numbers = f"Smallest p = {smallest} ({method}). So few can tell only large differences."
        yield Finding(about="tests", tone="even", text=f"{text} between any two models.", numbers=numbers)


def _cost(group: Rivals, arms: Sequence[ArmData]) -> Iterator[Finding]:
    by_role = {arm.role: arm for arm in arms if arm.role == "healed" or arm.is_final}
    result = by_role.get("healed") or by_role.get("merged")
    source = group.source.arm if group.source else None
    if result is None or source is None or not result.served_bytes or not source.served_bytes:
        return
    share = times(result.served_bytes / source.served_bytes)
    text = f"{capital(result.title)} takes {share} the disk of {source.title}"
    numbers = f"{size(result.served_bytes)} against {size(source.served_bytes)}"
    fast, yardstick = _rate(result), _rate(source)
    if fast and yardstick:
        text += f", and {_speeds(fast, yardstick)}"
        numbers += f"; {speed(result)} against {speed(source)} tokens/s"
    yield Finding(about="cost", tone="note", text=f"{text}.", numbers=f"{numbers}.")


def _rate(arm: ArmData) -> Estimate | None:
    if not arm.tokens_per_second or arm.tokens_per_second_error is None:
        return None
    return Estimate(value=arm.tokens_per_second, error=arm.tokens_per_second_error)


def _speeds(result: Estimate, source: Estimate) -> str:
    if not detectable(log_ratio(result, source)):
        return "no difference in speed is detectable"
    return f"generates at {times(result.value / source.value)} its speed"


def _missing(arms: Sequence[ArmData]) -> Iterator[Finding]:
    for missing in dict.fromkeys(arm.missing for arm in arms if arm.missing):
        names = ", ".join(arm.title for arm in arms if arm.missing == missing)
        text = f"Of {names} there is no {', no '.join(missing)}."
        yield Finding(about="missing", tone="loss", text=text, numbers="The run did not come to it, or it failed.")


# -- what else a reader must know -------------------------------------------------------------------------------


def _notes(data: ReportData, recipe: Recipe) -> Iterator[Finding]:
    for model, note in dict.fromkeys((source.model, source.note) for source in data.sources if source.note):
        names = ", ".join(source.name for source in data.sources if source.model == model)
        yield _note(f"{model} ({names}): {note}")
    for source in data.sources:
        if source.nan or source.inf:
            bad = f"{source.nan} weights that are not a number and {source.inf} that are infinite"
            yield _note(f"Source {source.name} holds {bad}.")
    for merge in data.merges:
        for note in merge.account.notes if merge.account else ():
            yield _note(f"Merge {merge.name}: {note}")
    fallen = [arm for arm in data.arms if arm.fallback_tensors]
    if fallen:
        rows = ", ".join(f"{arm.fallback_tensors} of {arm.title}" for arm in fallen)
        text = "Some tensors do not fit the blocks of their quantization type, and took a larger one."
        yield _note(text, f"{rows}.")
    if any(arm.role == "reference" for arm in data.arms) and recipe.benchmark.perplexity.texts:
        yield _note("Perplexity counts per token: between models of different tokenizers it cannot be compared.")


def _note(text: str, numbers: str = "") -> Finding:
    return Finding(about="note", tone="note", text=text, numbers=numbers)
