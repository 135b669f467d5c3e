"""What a plan is: models, the rows of the scoreboard, and the steps that make them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from suture.checkpoint.layout import Layout
from suture.gguf.convert import Provenance
from suture.hub.datasets import DatasetListing
from suture.hub.pins import Pinned
from suture.merge.account import MergePlan
from suture.recipe import Recipe
from suture.steps import PlannedStep
from suture.store import Store

Role = Literal["source", "merged", "healed", "control", "reference"]


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
        lora: The adapter that is served beside it, where it is not fused into its weights.
    """

    name: str
    role: Role
    step: PlannedStep
    layout: Layout
    provenance: Provenance
    folder: Path | None = None
    tokenizer: PlannedStep | None = None
    lora: PlannedStep | None = None


@dataclass(frozen=True)
class Arm:
    """One row of the scoreboard: a GGUF, with an adapter beside it or not, and what is measured of it."""

    name: str
    role: Role
    quant: str
    gguf: PlannedStep
    perplexity: PlannedStep
    benchmark: PlannedStep
    divergence: PlannedStep | None = None
    speed: PlannedStep | None = None
    lora: PlannedStep | None = None

    @property
    def leaves(self) -> tuple[PlannedStep, ...]:
        """The steps that nothing but the report depends on."""
        measured = (self.perplexity, self.benchmark, self.divergence, self.speed)
        return tuple(step for step in measured if step is not None)


@dataclass(frozen=True)
class Probed:
    """A checkpoint that is looked into."""

    name: str
    role: Role
    probe: PlannedStep


@dataclass(frozen=True)
class Plan:
    """Everything a run will do.

    Attributes:
        recipe: What was asked for.
        sources: The recipe's sources, pinned.
        merges: The account of each merge's tensors: of the stages by their names, then of `merged`.
        steps: Every step once, parents before children.
        arms: The rows of the scoreboard.
        probes: The checkpoints that are looked into, in the order of the scoreboard.
        datasets: The data sets on the hub that anything is trained on, pinned.
    """

    recipe: Recipe
    sources: tuple[Pinned, ...]
    merges: dict[str, MergePlan]
    steps: tuple[PlannedStep, ...]
    arms: tuple[Arm, ...]
    probes: tuple[Probed, ...] = ()
    datasets: tuple[DatasetListing, ...] = ()

    @property
    def pinned(self) -> tuple[Pinned, ...]:
        """The sources, each followed by the adapter that is fused into it."""
        both = ((source, source.adapter) for source in self.sources)
        return tuple(pinned for pair in both for pinned in pair if pinned is not None)

    def missing(self, store: Store) -> tuple[PlannedStep, ...]:
        """Return the steps whose artifacts are not in the store."""
        return tuple(step for step in self.steps if not store.has(step.key))


def named(models: Sequence[Model], name: str) -> Model:
    """Return the model of a name."""
    return next(model for model in models if model.name == name)
