"""The steps that make a checkpoint: fetching, merging, training, fusing."""

from __future__ import annotations

from collections.abc import Sequence

from suture.checkpoint.layout import Layout
from suture.gguf.convert import Provenance, SourceCredit
from suture.heal.adapter import plan_fusion
from suture.heal.dataset import DatasetSpec
from suture.heal.fuse import FuseSpec
from suture.heal.names import layer_of
from suture.heal.seam import heal_spec, plain_spec
from suture.heal.train import TrainSpec
from suture.hub.pins import Pinned, pin
from suture.merge.account import MergePlan
from suture.merge.plan import plan_merge
from suture.merge.step import MergeSpec
from suture.plan.form import Model, named
from suture.plan.texts import pin_training
from suture.recipe import Heal, Merge, Recipe, Source, Training
from suture.steps import PlannedStep, plan_step


def plan_source(source: Source, recipe: Recipe) -> PlannedStep:
    """Pin one source and return the step whose artifact is its checkpoint."""
    return source_model(recipe, source, pin(source)).step


def source_model(recipe: Recipe, source: Source, pinned: Pinned) -> Model:
    """Return a source as it will be merged: with its adapter fused, and fine-tuned."""
    step, layout, credits_ = fetched(pinned), pinned.layout, [_credit(pinned)]
    if pinned.adapter is not None:
        layout = plan_fusion(layout, pinned.adapter.layout, pinned.adapter.model).layout
        parents = [step, fetched(pinned.adapter)]
        step = plan_step(f"fuse adapter {source.name}", "fuse", FuseSpec(), parents, size=layout.size)
        credits_.append(_credit(pinned.adapter))
    if source.finetune is not None:
        data = dataset_step(f"dataset {source.name}", recipe, source.finetune, step)
        step = tuned(source.name, "finetune", plain_spec(source.finetune), step, data, layout)
    as_it_came = pinned.adapter is None and source.finetune is None
    provenance = Provenance(name=source.name, recipe="" if as_it_came else recipe.name, sources=tuple(credits_))
    return Model(source.name, "source", step, layout, provenance, pinned.folder, fetched(pinned))


def merged_model(recipe: Recipe, merge: Merge, name: str, known: Sequence[Model]) -> tuple[MergePlan, Model]:
    """Return a merge of models that are known already, and the account of its tensors."""
    spec = MergeSpec(merge=merge)
    used = [named(known, source) for source in merge.sources]
    layouts = {model.name: model.layout for model in used}
    folders = {model.name: model.folder for model in used if model.folder is not None}
    account = plan_merge(merge, layouts, spec.shard_bytes, folders if len(folders) == len(layouts) else None)
    label = "merge" if name == "merged" else f"merge {name}"
    step = plan_step(label, "merge", spec, [model.step for model in used], size=account.layout.size)
    credits_ = tuple(dict.fromkeys(credit for model in used for credit in model.provenance.sources))
    title = recipe.name if name == "merged" else f"{recipe.name}-{name}"
    provenance = Provenance(name=title, recipe=recipe.name, sources=credits_)
    return account, Model(name, "merged", step, account.layout, provenance)


def healed_models(recipe: Recipe, heal: Heal, merged: Model, base: Model, seams: Sequence[int]) -> list[Model]:
    """Return the healed merge, and its control if there is one."""
    data = dataset_step("dataset heal", recipe, heal, base.tokenizer or base.step)
    spec = heal_spec(heal, recipe.merge, seams, merged.layout.layers)
    healed = tuned("healed", "heal", spec, merged.step, data, merged.layout)
    provenance = merged.provenance.model_copy(update={"name": f"{recipe.name}-healed"})
    models = [Model("healed", "healed", healed, merged.layout, provenance)]
    if heal.control:
        control = tuned("control", "finetune", plain_spec(heal), base.step, data, base.layout)
        provenance = base.provenance.model_copy(update={"name": f"{recipe.name}-control", "recipe": recipe.name})
        models.append(Model("control", "control", control, base.layout, provenance))
    return models


def dataset_step(label: str, recipe: Recipe, training: Training, tokenizer: PlannedStep) -> PlannedStep:
    """Return the step that prepares a training's data with the tokenizer of a checkpoint."""
    sequences = training.steps * training.batch_size * training.gradient_accumulation
    spec = DatasetSpec(
        texts=pin_training(recipe, training.data),
        sequence_length=training.sequence_length,
        sequences=sequences,
        seed=training.seed,
    )
    return plan_step(label, "dataset", spec, [tokenizer], size=8 * sequences * training.sequence_length)


def tuned(
    name: str, step: str, spec: TrainSpec, model: PlannedStep, data: PlannedStep, layout: Layout
) -> PlannedStep:
    """Return the fused checkpoint of a training: adapter first, so that a worker need send only that."""
    adapter = plan_step(f"{step} {name}", step, spec, [model, data], size=_adapter_bytes(spec, layout))
    return plan_step(f"fuse {name}", "fuse", FuseSpec(), [model, adapter], size=layout.size)


def _adapter_bytes(spec: TrainSpec, layout: Layout) -> int:
    """Return the bytes of an fp32 adapter; its checkpoints hold two moments as well, twice over."""
    rows_and_columns = sum(
        sum(info.shape)
        for name, info in layout.tensors.items()
        if name.removesuffix(".weight").rpartition(".")[2] in spec.targets
        if spec.layers is None or layer_of(name) in spec.layers
    )
    return 4 * spec.rank * rows_and_columns * (1 + 2 * 3)


def fetched(pinned: Pinned) -> PlannedStep:
    """Return the step that brings a pinned checkpoint into the store."""
    return plan_step(f"fetch {pinned.model}", "fetch", pinned.spec, size=pinned.layout.size)


def _credit(pinned: Pinned) -> SourceCredit:
    return SourceCredit(name=pinned.name, model=pinned.model, commit=pinned.commit, licence=pinned.licence)
