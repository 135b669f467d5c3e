"""The steps: name -> version and function; and the one way to run any of them."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, JsonValue

from suture.errors import CorruptArtifactError
from suture.progress import Progress
from suture.settings import settings
from suture.store import Artifact, Manifest, Store, Workspace, artifact_key, locks
from suture.store.host import host_facts

Facts = Mapping[str, JsonValue]
StepFunction = Callable[[BaseModel, Sequence[Artifact], Workspace, Progress], Facts]


@dataclass(frozen=True)
class Step:
    """One kind of step.

    Attributes:
        version: Raised when the same spec would give other bytes.
        function: `module:function`, imported when it first runs, so that planning loads no heavy package.
        machine: `alone` for steps that use every core, or that time something.
    """

    version: int
    function: str
    machine: Literal["shared", "alone"]

    def load(self) -> StepFunction:
        """Import the function."""
        module, _, name = self.function.partition(":")
        return getattr(importlib.import_module(module), name)


STEPS: dict[str, Step] = {
    "fetch": Step(1, "suture.hub.fetch:fetch", "shared"),
    "fetch_dataset": Step(1, "suture.hub.datasets:fetch_dataset", "shared"),
    "dataset": Step(2, "suture.heal.data.dataset:dataset", "shared"),
    "finetune": Step(1, "suture.heal.train:train", "alone"),
    "heal": Step(1, "suture.heal.train:train", "alone"),
    "fuse": Step(1, "suture.heal.fusing.fuse:fuse", "shared"),
    "merge": Step(2, "suture.merge.step:merge", "shared"),
    "convert": Step(1, "suture.gguf.convert:convert", "shared"),
    "convert_lora": Step(1, "suture.gguf.lora:convert_lora", "shared"),
    "imatrix": Step(1, "suture.gguf.imatrix:imatrix", "shared"),
    "quantize": Step(1, "suture.gguf.quantize:quantize", "shared"),
    "reference": Step(1, "suture.gguf.reference:reference", "shared"),
    "perplexity": Step(2, "suture.bench.perplexity:perplexity", "shared"),
    "logits": Step(1, "suture.bench.divergence:logits", "shared"),
    "divergence": Step(1, "suture.bench.divergence:divergence", "shared"),
    "speed": Step(1, "suture.bench.bare_speed:speed", "alone"),
    "probe": Step(1, "suture.heal.probing.probe:probe", "alone"),
    "benchmark": Step(2, "suture.bench.capability:benchmark", "alone"),
}


@dataclass(frozen=True)
class PlannedStep:
    """One step of a plan.

    Attributes:
        label: What it is called in this plan, such as `quantize merged Q4_K_M`.
        step: Its kind, a name of `STEPS`.
        spec: What is asked of it.
        parents: The steps whose artifacts it reads, in order.
        tool: Version of the outside tool that makes the bytes; empty when there is none.
        size: Bytes it is expected to write.
        key: Key of its artifact.
    """

    label: str
    step: str
    spec: BaseModel
    parents: tuple[PlannedStep, ...]
    tool: str
    size: int
    key: str


@dataclass(frozen=True)
class Outcome:
    """What became of a step.

    Attributes:
        artifact: What it made, or had made before.
        cached: Whether it was found in the store.
        seconds: Time it took to build, without the wait for its turn; or to find.
    """

    artifact: Artifact
    cached: bool
    seconds: float


def plan_step(
    label: str,
    step: str,
    spec: BaseModel,
    parents: Sequence[PlannedStep] = (),
    *,
    tool: str = "",
    size: int = 0,
) -> PlannedStep:
    """Return a step with its key."""
    key = artifact_key(
        step, STEPS[step].version, spec.model_dump(mode="json"), [parent.key for parent in parents], tool
    )
    return PlannedStep(label, step, spec, tuple(parents), tool, size, key)


def build(planned: PlannedStep, store: Store, progress: Progress) -> Outcome:
    """Return a step's artifact, from the store or by running the step.

    Raises:
        CorruptArtifactError: When a parent is not in the store (any more).
        SutureError: Whatever the step itself raises.
    """
    started = time.monotonic()
    hit = store.find(planned.key)
    if hit is not None:
        return Outcome(hit, cached=True, seconds=time.monotonic() - started)
    with store.lock(planned.key, on_wait=lambda: progress.say("another process is building this; waiting")):
        hit = store.find(planned.key)
        if hit is not None:
            return Outcome(hit, cached=True, seconds=time.monotonic() - started)
        parents = [_require(store, parent) for parent in planned.parents]
        artifact = _run(planned, parents, store, progress)
        return Outcome(artifact, cached=False, seconds=artifact.manifest.seconds)


def build_all(planned: PlannedStep, store: Store, progress: Progress) -> Outcome:
    """Build a step after all that it needs, one after the other, without Prefect."""
    if not store.has(planned.key):
        for parent in planned.parents:
            build_all(parent, store, progress)
    return build(planned, store, progress)


def _run(planned: PlannedStep, parents: Sequence[Artifact], store: Store, progress: Progress) -> Artifact:
    kind = STEPS[planned.step]
    function = kind.load()
    with (
        locks.locked(
            store.machine_lock,
            shared=kind.machine == "shared",
            on_wait=lambda: progress.say("waiting for the machine: another step needs it alone"),
        ),
        store.workspace(planned.key) as work,
    ):
        started = time.monotonic()
        facts = function(planned.spec, parents, work, progress)
        head = Manifest(
            key=planned.key,
            step=planned.step,
            version=kind.version,
            spec=planned.spec.model_dump(mode="json"),
            parents=tuple(parent.key for parent in parents),
            tool=planned.tool,
            files=(),
            facts=dict(facts),
            host=host_facts(),
            created=datetime.now(UTC),
            seconds=time.monotonic() - started,
        )
        return store.commit(work, head)


def _require(store: Store, parent: PlannedStep) -> Artifact:
    artifact = store.find(parent.key)
    if artifact is None:
        raise CorruptArtifactError(
            f"What {parent.label!r} made is not in the store, or was damaged and set aside.",
            where=store.root,
            expected=parent.key,
            way_out="Run the same command again: it is rebuilt.",
        )
    return artifact


def store_of_this_machine() -> Store:
    """Return the store that the settings name."""
    return Store(settings().store)
