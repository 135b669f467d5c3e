"""From a run's record and its artifacts' manifests to ReportData."""

from __future__ import annotations

import json
from typing import Literal

from suture.recipe import Recipe
from suture.report.comparison import recoveries
from suture.report.data import (
    FINAL,
    ArmData,
    BareSpeed,
    Interval,
    ProbeData,
    QuantizationLoss,
    ReportData,
    SourceData,
    StepData,
    TrainingData,
)
from suture.report.facts import (
    BenchmarkFacts,
    DivergenceFacts,
    FetchFacts,
    FuseFacts,
    GgufFacts,
    PerplexityFacts,
    Shelf,
    SpeedFacts,
    TrainFacts,
    facts_of,
)
from suture.report.findings import find
from suture.report.inputs import ArmView, ReportInput, Role, SourceView, StepView
from suture.report.merges import merges_of
from suture.report.probes import probe_of
from suture.report.rivalries import rivalries
from suture.report.standings import standings
from suture.statistics import rate_interval
from suture.store import Artifact, Manifest, RunRecord, StepRecord, Store


def gather(store: Store, asked: ReportInput) -> ReportData:
    """Return everything the report says; what a failed run did not make is left empty."""
    keys = dict.fromkeys([step.key for step in asked.steps] + [key for arm in asked.arms for key in _keys(arm)])
    shelf = {key: store.load(key) for key in keys if store.has(key)}
    run, recipe = asked.run, asked.recipe
    measured = ReportData(
        run=run.run,
        flow_run=run.flow_run,
        flow_url=run.flow_url,
        name=recipe.name,
        description=recipe.description,
        state=run.state,
        error=run.error,
        started=run.started,
        ended=run.ended,
        findings=(),
        arms=tuple(_arm(arm, shelf, healed=recipe.heal is not None) for arm in asked.arms),
        recovery=(),
        trainings=tuple(_training(step, shelf) for step in asked.steps if step.step in ("finetune", "heal")),
        merges=merges_of(asked, shelf),
        standings=(),
        rivalries=(),
        probes=_probes(asked, shelf),
        steps=tuple(_step(step, run, shelf) for step in asked.steps),
        sources=tuple(_source(source, recipe, shelf) for source in asked.sources),
        licences=asked.licences,
        tools=_tools(shelf),
        packages=_packages(shelf),
        recipe=recipe.model_dump(mode="json"),
    )
    compared = measured.model_copy(
        update={
            "recovery": recoveries(measured.arms, measured.merges),
            "standings": standings(measured.arms, measured.merges),
            "rivalries": rivalries(measured.arms),
        }
    )
    return compared.model_copy(update={"findings": find(compared, recipe)})


def _keys(arm: ArmView) -> tuple[str, ...]:
    keys = (arm.gguf, arm.perplexity, arm.benchmark, arm.divergence, arm.speed, arm.adapter)
    return tuple(key for key in keys if key)


# -- arms -----------------------------------------------------------------------------------------------------


def _arm(arm: ArmView, shelf: Shelf, *, healed: bool) -> ArmData:
    asked = {
        "gguf": arm.gguf,
        "perplexity": arm.perplexity,
        "benchmark": arm.benchmark,
        "divergence": arm.divergence,
        "speed": arm.speed,
        "adapter": arm.adapter,
    }
    gguf, adapter = facts_of(GgufFacts, arm.gguf, shelf), facts_of(GgufFacts, arm.adapter, shelf)
    measured = {
        **_file(gguf),
        **_perplexity(facts_of(PerplexityFacts, arm.perplexity, shelf)),
        **_answers(facts_of(BenchmarkFacts, arm.benchmark, shelf)),
        "loss": _loss(facts_of(DivergenceFacts, arm.divergence, shelf)),
        "bare_speed": _bare_speed(facts_of(SpeedFacts, arm.speed, shelf)),
    }
    return ArmData.model_validate(
        {
            "name": arm.name,
            "title": title(arm.name, arm.role, healed=healed),
            "role": arm.role,
            "quant": arm.quant or (gguf.type if gguf else ""),
            "key": arm.gguf,
            "adapter": arm.adapter,
            "adapter_bytes": adapter and adapter.size_bytes,
            "missing": tuple(part for part, key in asked.items() if key and key not in shelf),
            **measured,
        }
    )


def title(name: str, role: Role, *, healed: bool) -> str:
    """Return what a sentence calls an arm.

    Args:
        name: Of its row: `merged`, or `merged Q8_0` where there are several types.
        role: Its role.
        healed: Whether the run heals its merge, which is then the raw one.
    """
    titles = {
        FINAL: "the raw merge" if healed else "the merge",
        "healed": "the healed merge",
        "control": "the control",
    }
    model, space, quant = name.partition(" ")
    if model == role and model in titles:
        return f"{titles[model]}{space}{quant}"
    return f"{'merge' if role == 'merged' else role} {name}"


def _file(facts: GgufFacts | None) -> dict[str, object]:
    if facts is None:
        return {}
    return {
        "size_bytes": facts.size_bytes,
        "bits_per_weight": facts.bits_per_weight,
        "fallback_tensors": facts.fallback_tensors,
    }


def _perplexity(facts: PerplexityFacts | None) -> dict[str, object]:
    if facts is None:
        return {}
    return {
        "perplexity": facts.estimate,
        "perplexities": {name: text.estimate for name, text in facts.texts.items()},
        "chunks": {name: text.chunks for name, text in facts.texts.items() if text.chunks},
        "tokenizer": facts.tokenizer,
    }


def _answers(facts: BenchmarkFacts | None) -> dict[str, object]:
    if facts is None:
        return {}
    low, high = rate_interval([test.passed for test in facts.tests], facts.total // len(facts.tests))
    return {
        "tokens_per_second": facts.tokens_per_second and facts.tokens_per_second.value,
        "tokens_per_second_error": facts.tokens_per_second and facts.tokens_per_second.error,
        "prompt_tokens_per_second": facts.prompt_tokens_per_second,
        "time_to_first_token": facts.time_to_first_token and facts.time_to_first_token.estimate,
        "passed": facts.passed,
        "total": facts.total,
        "interval": Interval(low=low, high=high),
        "tests": tuple(test.model_dump() for test in facts.tests),
    }


def _loss(facts: DivergenceFacts | None) -> QuantizationLoss | None:
    if facts is None:
        return None
    return QuantizationLoss(
        divergence=facts.mean.estimate,
        median=facts.median,
        high=facts.high,
        ratio=facts.ratio.estimate,
        same_top=facts.same_top.estimate,
        tokens=facts.tokens,
        text=facts.text,
    )


def _bare_speed(facts: SpeedFacts | None) -> BareSpeed | None:
    return None if facts is None else BareSpeed.model_validate(facts.model_dump())


def _probes(asked: ReportInput, shelf: Shelf) -> tuple[ProbeData, ...]:
    healed = asked.recipe.heal is not None
    found = (probe_of(view, title(view.name, view.role, healed=healed), shelf) for view in asked.probes)
    return tuple(probe for probe in found if probe is not None)


# -- trainings ------------------------------------------------------------------------------------------------


def _training(step: StepView, shelf: Shelf) -> TrainingData:
    """Return a training; its model's name is the last word of its label, as in `finetune control`."""
    name = step.label.rpartition(" ")[2]
    trained = {**_trained(facts_of(TrainFacts, step.key, shelf)), **_fused(step.key, shelf)}
    if step.key in shelf:
        trained |= {"losses": _losses(shelf[step.key], "loss"), "held_out": _losses(shelf[step.key], "held_out_loss")}
    return TrainingData.model_validate({"name": name, "role": _role(step.step, name), "key": step.key, **trained})


def _role(step: str, name: str) -> Role:
    if step == "heal":
        return "healed"
    return "control" if name == "control" else "source"


def _trained(facts: TrainFacts | None) -> dict[str, object]:
    return {} if facts is None else facts.model_dump()


def _fused(adapter: str, shelf: Shelf) -> dict[str, object]:
    """Return the facts of the step that fused this adapter into its base."""
    for artifact in shelf.values():
        if artifact.manifest.step == "fuse" and adapter in artifact.manifest.parents:
            return FuseFacts.model_validate(artifact.facts).model_dump()
    return {}


def _losses(adapter: Artifact, kind: str) -> tuple[tuple[int, float], ...]:
    rows = [json.loads(line) for line in (adapter.path / "losses.jsonl").read_text().splitlines()]
    return tuple((row["step"], row[kind]) for row in rows if kind in row)


# -- steps and provenance -------------------------------------------------------------------------------------


def _step(step: StepView, run: RunRecord, shelf: Shelf) -> StepData:
    record = next((record for record in run.steps if record.key == step.key), None)
    manifest = shelf[step.key].manifest if step.key in shelf else None
    return StepData(
        label=step.label,
        step=step.step,
        key=step.key,
        state=_state(record, manifest),
        seconds=record.seconds if record else None,
        built_seconds=manifest.seconds if manifest else None,
        size_bytes=manifest.size if manifest else None,
        tool=manifest.tool if manifest else "",
    )


def _state(record: StepRecord | None, manifest: Manifest | None) -> Literal["built", "cached", "missing"]:
    if record is not None:
        return "cached" if record.cached else "built"
    return "missing" if manifest is None else "cached"


def _source(source: SourceView, recipe: Recipe, shelf: Shelf) -> SourceData:
    finetuned = {each.name for each in recipe.sources if each.finetune is not None}
    fetched = [
        FetchFacts.model_validate(artifact.facts) for artifact in shelf.values() if artifact.manifest.step == "fetch"
    ]
    # by content, not by label: two sources of one commit share one fetch
    facts = next((each for each in fetched if (each.model, each.commit) == (source.model, source.commit)), None)
    return SourceData(
        name=source.name,
        model=source.model,
        commit=source.commit,
        licence=source.licence,
        finetuned=source.name in finetuned,
        parameters=facts.parameters if facts else None,
        size_bytes=facts.bytes if facts else None,
        nan=facts.nan if facts else None,
        inf=facts.inf if facts else None,
        note=facts.note if facts else "",
    )


def _tools(shelf: Shelf) -> dict[str, tuple[str, ...]]:
    pairs = {
        (artifact.manifest.step, artifact.manifest.tool) for artifact in shelf.values() if artifact.manifest.tool
    }
    return _grouped(pairs)


def _packages(shelf: Shelf) -> dict[str, tuple[str, ...]]:
    return _grouped({pair for artifact in shelf.values() for pair in artifact.manifest.host.items()})


def _grouped(pairs: set[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    grouped: dict[str, tuple[str, ...]] = {}
    for name, value in sorted(pairs):
        grouped[name] = (*grouped.get(name, ()), value)
    return grouped
