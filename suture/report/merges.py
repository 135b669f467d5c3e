"""The run's merges: as the recipe asks for them, and what came of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import attrgetter

from pydantic import JsonValue

from suture.recipe import Blend, Blended, Merge, Passthrough, Recipe
from suture.recipe.merge import MODEL_SETTINGS, TAKES
from suture.report.data import FINAL, DroppedTensors, MergeAccount, MergeData, MergedModel, StackPart
from suture.report.facts import DroppedTensor, MergeFacts, Shelf, facts_of
from suture.report.inputs import ReportInput

_INTO_THE_BASE = frozenset({"nearswap", "arcee_fusion"})
"""Methods that look at task vectors and still make their result of the base itself."""


def merges_of(asked: ReportInput, shelf: Shelf) -> tuple[MergeData, ...]:
    """Return every merge of the run, the final one last."""
    merges = _by_name(asked.recipe)
    keys = {step.label: step.key for step in asked.steps if step.step == "merge"}
    parents = lineage(asked.recipe)
    found: list[MergeData] = []
    for name, merge in merges.items():
        # two merges that ask for the same are one step, under the label of the first
        twins = (_label(other) for other, same in merges.items() if same == merge)
        key = next((keys[label] for label in twins if label in keys), "")
        facts = facts_of(MergeFacts, key, shelf)
        found.append(
            MergeData(
                name=name,
                method=merge.method,
                key=key,
                settings=_settings(merge),
                models=_models(merge),
                stack=_stack(merge),
                sources=merge.sources,
                parents=parents[name],
                account=_account(facts) if facts else None,
            )
        )
    return tuple(found)


def _by_name(recipe: Recipe) -> dict[str, Merge]:
    return {**{stage.name: stage.merge for stage in recipe.stages}, FINAL: recipe.merge}


def _label(name: str) -> str:
    return "merge" if name == FINAL else f"merge {name}"


def lineage(recipe: Recipe) -> dict[str, tuple[str, ...]]:
    """Return each merge's measured parents; a stage that is not measured stands for its own."""
    unmeasured = {stage.name for stage in recipe.stages if not stage.benchmark}
    found: dict[str, tuple[str, ...]] = {}
    for name, merge in _by_name(recipe).items():
        groups = (found[parent] if parent in unmeasured else (parent,) for parent in _parents(merge))
        found[name] = tuple(dict.fromkeys(parent for group in groups for parent in group))
    return found


def _parents(merge: Merge) -> tuple[str, ...]:
    """Return the models that a merge is made of: not the base that task vectors are taken from."""
    if isinstance(merge, Passthrough):
        return tuple(dict.fromkeys(part.source for part in merge.plain_slices))
    names = dict.fromkeys(model.source for part in merge.plain_slices for model in part.models)
    if merge.method in _INTO_THE_BASE:
        return tuple(dict.fromkeys((merge.base, *names)))
    return tuple(name for name in names if not (merge.uses_task_vectors and name == merge.base))


# -- as asked for ---------------------------------------------------------------------------------------------


def _settings(merge: Merge) -> dict[str, JsonValue]:
    if isinstance(merge, Passthrough):
        return {}
    written = merge.model_dump(mode="json", by_alias=True)
    settings: dict[str, JsonValue] = {
        name: written[name] for name in TAKES[merge.method] if name not in MODEL_SETTINGS
    }
    if "normalize" in settings:
        settings["normalize"] = merge.is_normalized
    return {**settings, "dialect": merge.dialect}


def _models(merge: Merge) -> tuple[MergedModel, ...]:
    if isinstance(merge, Passthrough):
        return ()
    return tuple(_model(merge, model) for part in merge.plain_slices for model in part.models)


def _model(merge: Blend, model: Blended) -> MergedModel:
    written = model.model_dump(mode="json")
    settings: Mapping[str, JsonValue] = {
        name: written[name] for name in TAKES[merge.method] if name in MODEL_SETTINGS
    }
    layers = (model.layers[0], model.layers[1] - 1) if model.layers else None
    return MergedModel(source=model.source, layers=layers, settings=dict(settings))


def _stack(merge: Merge) -> tuple[StackPart, ...]:
    if not isinstance(merge, Passthrough):
        return ()
    return tuple(
        StackPart(
            source=part.source,
            first=part.layers[0],
            last=part.layers[1] - 1,
            scale=part.model_dump(mode="json")["scale"],
        )
        for part in merge.plain_slices
    )


# -- what came of it ------------------------------------------------------------------------------------------


def _account(facts: MergeFacts) -> MergeAccount:
    return MergeAccount(
        layers=facts.layers,
        seams=facts.seams,
        tensors_in=facts.tensors_in,
        tensors_out=facts.tensors_out,
        copied=facts.copied,
        merged=facts.merged,
        dropped=_dropped(facts.dropped),
        parameters=facts.parameters,
        size_bytes=facts.bytes,
        notes=facts.notes,
    )


def _dropped(tensors: Iterable[DroppedTensor]) -> tuple[DroppedTensors, ...]:
    reason = attrgetter("source", "reason")
    return tuple(
        DroppedTensors(source=source, reason=why, tensors=tuple(sorted(tensor.tensor for tensor in group)))
        for (source, why), group in groupby(sorted(tensors, key=reason), key=reason)
    )
