"""How it was made: sources, merges, trainings, steps."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from suture.report.data.row import Row
from suture.report.inputs import Role


class TrainingData(Row):
    """One training: a child's fine-tuning, the heal or its control."""

    name: str
    """The model that came of it."""
    role: Role
    key: str
    losses: tuple[tuple[int, float], ...] = ()
    """(step, loss); empty while there is no artifact."""
    held_out: tuple[tuple[int, float], ...] = ()
    """(step, loss on samples that were kept out of the training); empty where that was not measured."""
    stopped_early: bool = False
    """Whether it ended before its last step, since the held-out loss no longer fell."""
    steps: int | None = None
    tokens: int | None = None
    tokens_per_second: float | None = None
    trainable_parameters: int | None = None
    device: str = ""
    """What it ran on."""
    resumed_from: int | None = None
    """The step it went on from after a kill; None when it ran in one go."""
    relative_delta: float | None = None
    """Norm of the fused update relative to the weights it changed."""
    share_survived: float | None = None
    """Share of the update that survived the cast to the checkpoint's 16 bits."""
    gates: dict[str, float] = Field(default_factory=dict[str, float])
    """Module -> the factor on what a repeated layer's projection adds, after training."""


class StackPart(Row):
    """Consecutive layers of the merge."""

    source: str
    first: int
    """First layer, as the source counts."""
    last: int
    """Last layer, inclusive."""
    scale: JsonValue = 1.0
    """What its tensors are multiplied by, as the recipe has it."""


class MergedModel(Row):
    """A model that a merge blends."""

    source: str
    layers: tuple[int, int] | None
    """First and last layer, inclusive; None for all."""
    settings: dict[str, JsonValue]
    """Its weight, and what else the method knows of each model."""


class DroppedTensors(Row):
    """Tensors of a source that the merge does not hold, all for one reason."""

    source: str
    reason: str
    tensors: tuple[str, ...]


class MergeAccount(Row):
    """What a merge did with every tensor."""

    layers: int
    seams: tuple[int, ...]
    """Layers that follow on a layer they were not trained to follow."""
    tensors_in: int
    tensors_out: int
    copied: int
    merged: int
    dropped: tuple[DroppedTensors, ...]
    parameters: int
    size_bytes: int
    notes: tuple[str, ...]
    """What a reader of results must know."""


class MergeData(Row):
    """One merge: as it was asked for, and what came of it."""

    name: str
    """Of its row in the scoreboard: a stage's name, or `merged`."""
    method: str
    key: str
    settings: dict[str, JsonValue]
    """What the method was told, as the recipe has it."""
    models: tuple[MergedModel, ...]
    """What is blended; empty for methods that stack."""
    stack: tuple[StackPart, ...]
    """From the first layer to the last; empty for methods that stack nothing."""
    sources: tuple[str, ...]
    """All that it uses, the base among them."""
    parents: tuple[str, ...]
    """The measured models that the result is made of; a base that task vectors are only taken from is none."""
    account: MergeAccount | None
    """None where the run did not come to it."""


class SourceData(Row):
    """Where a source came from."""

    name: str
    model: str
    commit: str
    licence: str
    finetuned: bool
    """Whether the recipe trained it before the merge."""
    parameters: int | None
    size_bytes: int | None
    nan: int | None
    """Weights that are not a number."""
    inf: int | None
    """Weights that are infinite."""
    note: str
    """What a reader of results must know; empty when there is nothing."""


class StepData(Row):
    """One step of the run."""

    label: str
    step: str
    key: str
    state: Literal["built", "cached", "missing"]
    seconds: float | None
    """Wall time in this run."""
    built_seconds: float | None
    """Wall time when it was built, in whichever run."""
    size_bytes: int | None
    tool: str
    """Version of the outside tool that made it; empty when there is none."""
