"""Plan: a recipe with everything pinned, as a graph of steps whose keys are known before any of them runs.

        sources -+-> merge -+---------------> convert -> quantize -> measure -+
                 |          +-> heal -> fuse -> convert -> quantize -> measure -+-> report
                 +-> (control) ------------> convert -> quantize -> measure -+

Healing trains on the 16-bit merge, so it is a second child of the merge and not of the quantized file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from suture.bench.bare_speed import SpeedSpec
from suture.bench.capability import BenchmarkSpec
from suture.bench.divergence import DivergenceSpec, LogitsSpec
from suture.bench.perplexity import PerplexitySpec
from suture.bench.suite import select
from suture.checkpoint.layers import text_section
from suture.checkpoint.layout import Layout
from suture.corpus import PinnedText, pin_data, pin_text
from suture.errors import RecipeError
from suture.gguf.convert import ConvertSpec, Provenance, SourceCredit
from suture.gguf.imatrix import ImatrixSpec
from suture.gguf.quantize import QuantizeSpec
from suture.gguf.reference import pin_reference
from suture.gguf.toolchain import expected_version, require
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
from suture.recipe import Data, Divergence, Heal, Imatrix, Merge, Recipe, Source, Speed, Text, Training
from suture.steps import PlannedStep, plan_step
from suture.store import Store
from suture.store.disk import disk_full

Role = Literal["source", "merged", "healed", "control", "reference"]

_DISK_MARGIN = 1.1
"""Room for part files, manifests and logs beside the expected sizes."""

_BITS_PER_WEIGHT = {
    "F16": 16.0, "Q8_0": 8.5, "Q6_K": 6.6, "Q5_K_M": 5.7, "Q5_K_S": 5.5, "Q4_K_M": 4.9, "Q4_K_S": 4.6, "Q4_0": 4.6,
    "IQ4_NL": 4.6, "IQ4_XS": 4.4, "Q3_K_L": 4.3, "Q3_K_M": 3.9, "Q3_K_S": 3.5, "IQ3_M": 3.7, "IQ3_S": 3.5,
    "IQ3_XS": 3.3, "IQ3_XXS": 3.1, "Q2_K": 3.2, "Q2_K_S": 3.0, "IQ2_M": 2.8, "IQ2_S": 2.6, "IQ2_XS": 2.4,
    "IQ2_XXS": 2.2, "IQ1_M": 1.9, "IQ1_S": 1.7,
}  # fmt: skip
"""llama.cpp's usual averages, for the estimate of sizes only; small models come out larger."""


@dataclass(frozen=True)
class Model:
    """A checkpoint that some step of the plan makes.

    Attributes:
        name: What the recipe calls it.
        role: What it is for.
        step: What makes it.
        layout: What it will hold.
        provenance: Where it came from.
        folder: Where its tokenizer lies already, if it does.
        tokenizer: The first step that has its tokenizer, where that is not the one that makes it: no text need wait
            for a training.
    """

    name: str
    role: Role
    step: PlannedStep
    layout: Layout
    provenance: Provenance
    folder: Path | None = None
    tokenizer: PlannedStep | None = None


@dataclass(frozen=True)
class Arm:
    """One row of the scoreboard: a GGUF and what is measured of it."""

    name: str
    role: Role
    quant: str
    gguf: PlannedStep
    perplexity: PlannedStep
    benchmark: PlannedStep
    divergence: PlannedStep | None = None
    speed: PlannedStep | None = None

    @property
    def leaves(self) -> tuple[PlannedStep, ...]:
        """The steps that nothing but the report depends on."""
        measured = (self.perplexity, self.benchmark, self.divergence, self.speed)
        return tuple(step for step in measured if step is not None)


@dataclass(frozen=True)
class Plan:
    """Everything a run will do.

    Attributes:
        recipe: What was asked for.
        sources: The recipe's sources, pinned.
        merges: The account of each merge's tensors: of the stages by their names, then of `merged`.
        steps: Every step once, parents before children.
        arms: The rows of the scoreboard.
    """

    recipe: Recipe
    sources: tuple[Pinned, ...]
    merges: dict[str, MergePlan]
    steps: tuple[PlannedStep, ...]
    arms: tuple[Arm, ...]

    def missing(self, store: Store) -> tuple[PlannedStep, ...]:
        """Return the steps whose artifacts are not in the store."""
        return tuple(step for step in self.steps if not store.has(step.key))


def resolve(recipe: Recipe) -> Plan:
    """Pin a recipe's sources, texts and tools, check that they fit, and lay out its steps.

    Asks the hub for commits and tensor lists where a source is a repository; fetches no weights, writes nothing.

    Raises:
        InputError: When a source, a text or the recipe cannot be used; see `suture.errors`.
        TransientError: When the hub cannot be reached.
    """
    pinned = [pin(source) for source in recipe.sources]
    sources = [_source(recipe, source, pin_) for source, pin_ in zip(recipe.sources, pinned, strict=True)]
    known = list(sources)
    accounts: dict[str, MergePlan] = {}
    for stage in recipe.stages:
        accounts[stage.name], made = _merged(recipe, stage.merge, stage.name, known)
        known.append(made)
    accounts["merged"], merged = _merged(recipe, recipe.merge, "merged", known)
    unmeasured = {stage.name for stage in recipe.stages if not stage.benchmark}
    models = [model for model in (*known, merged) if model.name not in unmeasured]
    if recipe.heal is not None:
        models += _healed(recipe, recipe.heal, merged, _named(known, recipe.merge.base), accounts["merged"].seams)
    arms = [arm for model in models for arm in _arms(recipe, model)] + list(_references(recipe))
    return Plan(
        recipe=recipe,
        sources=tuple(pinned),
        merges=accounts,
        steps=tuple(_in_order(leaf for arm in arms for leaf in arm.leaves)),
        arms=tuple(arms),
    )


def check_disk(plan: Plan, store: Store) -> None:
    """Refuse a plan that the disk has no room for.

    Raises:
        HostError: With the bytes needed and found.
    """
    needed = needed_bytes(plan, store)
    if needed > store.free_bytes():
        raise disk_full(store.root, needed)


def needed_bytes(plan: Plan, store: Store) -> int:
    """Return the bytes of disk that the steps still to be run are expected to take."""
    return round(_DISK_MARGIN * sum(step.size for step in plan.missing(store)))


def plan_source(source: Source, recipe: Recipe) -> PlannedStep:
    """Pin one source and return the step whose artifact is its checkpoint."""
    return _source(recipe, source, pin(source)).step


def _source(recipe: Recipe, source: Source, pinned: Pinned) -> Model:
    step, layout, credits_ = _fetch(pinned), pinned.layout, [_credit(pinned)]
    if pinned.adapter is not None:
        layout = plan_fusion(layout, pinned.adapter.layout, pinned.adapter.model).layout
        parents = [step, _fetch(pinned.adapter)]
        step = plan_step(f"fuse adapter {source.name}", "fuse", FuseSpec(), parents, size=layout.size)
        credits_.append(_credit(pinned.adapter))
    if source.finetune is not None:
        data = _dataset(f"dataset {source.name}", recipe, source.finetune, step)
        step = _tuned(source.name, "finetune", plain_spec(source.finetune), step, data, layout)
    as_it_came = pinned.adapter is None and source.finetune is None
    provenance = Provenance(name=source.name, recipe="" if as_it_came else recipe.name, sources=tuple(credits_))
    return Model(source.name, "source", step, layout, provenance, pinned.folder, _fetch(pinned))


def _fetch(pinned: Pinned) -> PlannedStep:
    return plan_step(f"fetch {pinned.model}", "fetch", pinned.spec, size=pinned.layout.size)


def _credit(pinned: Pinned) -> SourceCredit:
    return SourceCredit(name=pinned.name, model=pinned.model, commit=pinned.commit, licence=pinned.licence)


def _merged(recipe: Recipe, merge: Merge, name: str, known: Sequence[Model]) -> tuple[MergePlan, Model]:
    spec = MergeSpec(merge=merge)
    used = [_named(known, source) for source in merge.sources]
    layouts = {model.name: model.layout for model in used}
    folders = {model.name: model.folder for model in used if model.folder is not None}
    account = plan_merge(merge, layouts, spec.shard_bytes, folders if len(folders) == len(layouts) else None)
    label = "merge" if name == "merged" else f"merge {name}"
    step = plan_step(label, "merge", spec, [model.step for model in used], size=account.layout.size)
    credits_ = tuple(dict.fromkeys(credit for model in used for credit in model.provenance.sources))
    title = recipe.name if name == "merged" else f"{recipe.name}-{name}"
    provenance = Provenance(name=title, recipe=recipe.name, sources=credits_)
    return account, Model(name, "merged", step, account.layout, provenance)


def _healed(recipe: Recipe, heal: Heal, merged: Model, base: Model, seams: Sequence[int]) -> list[Model]:
    data = _dataset("dataset heal", recipe, heal, base.tokenizer or base.step)
    spec = heal_spec(heal, recipe.merge, seams, merged.layout.layers)
    healed = _tuned("healed", "heal", spec, merged.step, data, merged.layout)
    provenance = merged.provenance.model_copy(update={"name": f"{recipe.name}-healed"})
    models = [Model("healed", "healed", healed, merged.layout, provenance)]
    if heal.control:
        control = _tuned("control", "finetune", plain_spec(heal), base.step, data, base.layout)
        provenance = base.provenance.model_copy(update={"name": f"{recipe.name}-control", "recipe": recipe.name})
        models.append(Model("control", "control", control, base.layout, provenance))
    return models


def _dataset(label: str, recipe: Recipe, training: Training, tokenizer: PlannedStep) -> PlannedStep:
    sequences = training.steps * training.batch_size * training.gradient_accumulation
    spec = DatasetSpec(
        texts=_pin_training(recipe, training.data),
        sequence_length=training.sequence_length,
        sequences=sequences,
        seed=training.seed,
    )
    return plan_step(label, "dataset", spec, [tokenizer], size=8 * sequences * training.sequence_length)


def _tuned(
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


def _arms(recipe: Recipe, model: Model) -> Iterable[Arm]:
    tool = expected_version()
    size = 2 * model.layout.parameters
    converted = plan_step(
        f"convert {model.name}",
        "convert",
        ConvertSpec(type="bf16", provenance=model.provenance),
        [model.step],
        tool=tool,
        size=size,
    )
    weighted = [_imatrix(recipe, recipe.gguf.imatrix, model, converted)] if recipe.gguf.imatrix else []
    several = len(recipe.gguf.quantize) > 1
    for type_ in recipe.gguf.quantize:
        label = f"{model.name} {type_}"
        gguf = plan_step(
            f"quantize {label}",
            "quantize",
            QuantizeSpec(type=type_),
            [converted, *weighted],
            tool=tool,
            size=round(model.layout.parameters * _BITS_PER_WEIGHT[type_] / 8),
        )
        arm = _measured(recipe, label if several else model.name, model.role, type_, gguf)
        loss = recipe.benchmark.divergence
        yield replace(arm, divergence=_divergence(recipe, loss, model, converted, arm)) if loss else arm


def _imatrix(recipe: Recipe, asked: Imatrix, model: Model, converted: PlannedStep) -> PlannedStep:
    require("llama-imatrix")
    (text,) = _pin_texts(recipe, [asked.text], "train")
    spec = ImatrixSpec(text=text, chunks=asked.chunks, context=asked.context)
    return plan_step(f"imatrix {model.name}", "imatrix", spec, [converted], tool=expected_version())


def _divergence(recipe: Recipe, asked: Divergence, model: Model, converted: PlannedStep, arm: Arm) -> PlannedStep:
    (text,) = _pin_texts(recipe, [asked.text], "heldout")
    spec = LogitsSpec(text=text, chunks=asked.chunks, context=asked.context)
    vocabulary = text_section(model.layout.config).get("vocab_size")
    size = spec.size(vocabulary if isinstance(vocabulary, int) else 0)
    tool = expected_version()
    logits = plan_step(f"logits {model.name}", "logits", spec, [converted], tool=tool, size=size)
    return plan_step(f"divergence {arm.name}", "divergence", DivergenceSpec(), [arm.gguf, logits], tool=tool)


def _references(recipe: Recipe) -> Iterable[Arm]:
    for reference in recipe.benchmark.references:
        path = Path(reference.gguf)
        spec = pin_reference(path)
        gguf = plan_step(f"reference {reference.name}", "reference", spec, size=path.stat().st_size)
        yield _measured(recipe, reference.name, "reference", "", gguf)


def _measured(recipe: Recipe, name: str, role: Role, quant: str, gguf: PlannedStep) -> Arm:
    ask = recipe.benchmark
    texts = _pin_texts(recipe, ask.perplexity.texts, "heldout")
    perplexity = PerplexitySpec(texts=texts, chunks=ask.perplexity.chunks, context=ask.perplexity.context)
    tests = tuple(test.id for test in select(ask.capability.tests))
    benchmark = BenchmarkSpec.model_validate(ask.capability.model_dump() | {"tests": tests})
    tool = expected_version()
    return Arm(
        name,
        role,
        quant,
        gguf,
        plan_step(f"perplexity {name}", "perplexity", perplexity, [gguf], tool=tool),
        plan_step(f"benchmark {name}", "benchmark", benchmark, [gguf], tool=tool),
        speed=_speed(ask.speed, name, gguf) if ask.speed else None,
    )


def _speed(asked: Speed, name: str, gguf: PlannedStep) -> PlannedStep:
    require("llama-bench")
    return plan_step(f"speed {name}", "speed", SpeedSpec(**asked.model_dump()), [gguf], tool=expected_version())


def _pin_training(recipe: Recipe, data: Sequence[Data]) -> tuple[PinnedText, ...]:
    """Pin what a training reads; a file that nothing is measured on is used whole."""
    measured = _uses(recipe)["heldout"]
    return _named_apart([pin_data(one, alone=one.text not in measured) for one in data])


def _pin_texts(recipe: Recipe, texts: Sequence[Text], part: Literal["train", "heldout"]) -> tuple[PinnedText, ...]:
    """Pin texts; a file that serves training (or calibration) alone, or measuring alone, is used whole, not split."""
    other = _uses(recipe)["heldout" if part == "train" else "train"]
    return _named_apart([pin_text(text, part, alone=text.text not in other) for text in texts])


def _uses(recipe: Recipe) -> dict[str, set[str]]:
    """Return the texts that anything is trained on or calibrated with, and those that anything is measured on."""
    trainings = [*(source.finetune for source in recipe.sources), recipe.heal]
    trained = [text for training in trainings if training for text in training.data]
    calibrated = [recipe.gguf.imatrix.text] if recipe.gguf.imatrix else []
    compared = [recipe.benchmark.divergence.text] if recipe.benchmark.divergence else []
    return {
        "train": {text.text for text in (*trained, *calibrated)},
        "heldout": {text.text for text in (*recipe.benchmark.perplexity.texts, *compared)},
    }


def _named_apart(pinned: Sequence[PinnedText]) -> tuple[PinnedText, ...]:
    names = [text.name for text in pinned]
    if len(set(names)) < len(names):
        raise RecipeError(
            "Two texts have one name, so that their numbers could not be told apart.",
            where="data or benchmark.perplexity.texts",
            expected="different file names",
            found=", ".join(names),
            way_out="Rename one of the files.",
        )
    return tuple(pinned)


def _named(models: Sequence[Model], name: str) -> Model:
    return next(model for model in models if model.name == name)


def _in_order(leaves: Iterable[PlannedStep]) -> list[PlannedStep]:
    """Return every step that the leaves need, once, parents before children."""
    found: dict[str, PlannedStep] = {}

    def visit(step: PlannedStep) -> None:
        if step.key not in found:
            for parent in step.parents:
                visit(parent)
            found[step.key] = step

    for leaf in leaves:
        visit(leaf)
    return list(found.values())
