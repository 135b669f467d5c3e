"""The steps that make a checkpoint: fetching, merging, training, fusing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from suture.checkpoint.layout import Layout
from suture.gguf.convert import Provenance, SourceCredit
from suture.gguf.lora import ConvertLoraSpec
from suture.gguf.toolchain import expected_version
from suture.heal.data.dataset import DatasetSpec
from suture.heal.fusing.adapter import plan_fusion
from suture.heal.fusing.fuse import FuseSpec
from suture.heal.names import layer_of
from suture.heal.seam import heal_spec, plain_spec
from suture.heal.train import TrainSpec
from suture.hub.datasets import HubDataset
from suture.hub.pins import Pinned, pin
from suture.merge.account import MergePlan
from suture.merge.plan import plan_merge
from suture.merge.step import MergeSpec
from suture.plan.form import Model, Role, named
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
    """Return the healed merge, and its control if there is one.

    Both read the same data, in the words of the merge: of its tokenizer and its chat template. Where its tokens are
    others than those of the base, the control reads them in the words of the base.
    """
    of_base = base.tokenizer or base.step
    data = dataset_step("dataset heal", recipe, heal, merged.step if recipe.merge.has_own_words else of_base)
    spec = heal_spec(heal, recipe.merge, seams, merged.layout.layers)
    trained: list[tuple[Role, str, TrainSpec, Model, PlannedStep]] = [("healed", "heal", spec, merged, data)]
    if heal.control:
        own = recipe.merge.has_own_tokens
        control = dataset_step("dataset control", recipe, heal, of_base) if own else data
        trained.append(("control", "finetune", plain_spec(heal), base, control))
    as_asked = _beside if heal.result == "adapter" else _fused
    return [as_asked(recipe, role, step, spec, model, rows) for role, step, spec, model, rows in trained]


def _fused(recipe: Recipe, role: Role, step: str, spec: TrainSpec, model: Model, data: PlannedStep) -> Model:
    """Return a model with what a training adds in its weights."""
    checkpoint = tuned(role, step, spec, model.step, data, model.layout)
    return Model(role, role, checkpoint, model.layout, _of_this_recipe(recipe, role, model))


def _beside(recipe: Recipe, role: Role, step: str, spec: TrainSpec, model: Model, data: PlannedStep) -> Model:
    """Return a model as it is, with what a training adds beside it: its own files are made once for both."""
    lora = plan_step(
        f"convert lora {role}",
        "convert_lora",
        ConvertLoraSpec(type="f16", provenance=_of_this_recipe(recipe, role, model)),
        [model.step, _adapter(role, step, spec, model.step, data, model.layout)],
        tool=expected_version(),
        size=2 * _adapter_parameters(spec, model.layout),
    )
    return replace(model, name=role, role=role, lora=lora)


def _of_this_recipe(recipe: Recipe, role: Role, model: Model) -> Provenance:
    return model.provenance.model_copy(update={"name": f"{recipe.name}-{role}", "recipe": recipe.name})


def dataset_step(label: str, recipe: Recipe, training: Training, tokenizer: PlannedStep) -> PlannedStep:
    """Return the step that prepares a training's data with the tokenizer of a checkpoint."""
    sequences = training.steps * training.batch_size * training.gradient_accumulation
    texts, to_fetch = pin_training(recipe, training.data)
    spec = DatasetSpec(
        texts=texts,
        sequence_length=training.sequence_length,
        sequences=sequences,
        seed=training.seed,
        batch=training.batch_size if training.group_by_length else 1,
        held_out=training.held_out if training.evaluate_every else 0,
    )
    parents = [tokenizer, *map(_fetched_dataset, to_fetch)]
    return plan_step(label, "dataset", spec, parents, size=8 * sequences * training.sequence_length)


def _fetched_dataset(pinned: HubDataset) -> PlannedStep:
    return plan_step(f"fetch dataset {pinned.name}", "fetch_dataset", pinned.spec, size=pinned.size)


def tuned(
    name: str, step: str, spec: TrainSpec, model: PlannedStep, data: PlannedStep, layout: Layout
) -> PlannedStep:
    """Return the fused checkpoint of a training: adapter first, so that a worker need send only that."""
    adapter = _adapter(name, step, spec, model, data, layout)
    return plan_step(f"fuse {name}", "fuse", FuseSpec(), [model, adapter], size=layout.size)


def _adapter(
    name: str, step: str, spec: TrainSpec, model: PlannedStep, data: PlannedStep, layout: Layout
) -> PlannedStep:
    """Return the training, which leaves fp32; its checkpoints hold two moments as well, twice over."""
    if spec.method == "full":  # its checkpoints also hold what is not trained
        size = 4 * _own_parameters(spec, layout) * (1 + 2 * 3) + 2 * layout.size
    else:
        size = 4 * _adapter_parameters(spec, layout) * (1 + 2 * 3)
    return plan_step(f"{step} {name}", step, spec, [model, data], size=size)


def _own_parameters(spec: TrainSpec, layout: Layout) -> int:
    """Return how many of the model's own numbers are trained: at most all of them."""
    return sum(
        info.parameters
        for name, info in layout.tensors.items()
        if spec.layers is None or layer_of(name) in spec.layers
    )


def _adapter_parameters(spec: TrainSpec, layout: Layout) -> int:
    rows_and_columns = sum(
        sum(info.shape)
        for name, info in layout.tensors.items()
        if name.removesuffix(".weight").rpartition(".")[2] in spec.targets
        if spec.layers is None or layer_of(name) in spec.layers
    )
    return spec.rank * rows_and_columns


def fetched(pinned: Pinned) -> PlannedStep:
    """Return the step that brings a pinned checkpoint into the store."""
    return plan_step(f"fetch {pinned.model}", "fetch", pinned.spec, size=pinned.layout.size)


def _credit(pinned: Pinned) -> SourceCredit:
    return SourceCredit(name=pinned.name, model=pinned.model, commit=pinned.commit, licence=pinned.licence)
