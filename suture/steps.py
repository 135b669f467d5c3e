"""The steps: name -> version and function; and the one way to run any of them."""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, JsonValue

from suture import needs
from suture.errors import CorruptArtifactError
from suture.progress import Progress
from suture.settings import settings
from suture.store import Artifact, Manifest, Store, Workspace, artifact_key, locks
from suture.store.admission import Claim, admitted
from suture.store.host import host_facts
from suture.store.remote import open_remote

Facts = Mapping[str, JsonValue]
Memory = Callable[[BaseModel, Sequence[Artifact]], int]
StepFunction = Callable[[BaseModel, Sequence[Artifact], Workspace, Progress], Facts]


@dataclass(frozen=True)
class Step:
    """One kind of step.

    Attributes:
        version: Raised when the same spec would give other bytes.
        function: `module:function`, imported when it first runs, so that planning loads no heavy package.
        machine: `alone` for steps that use every core, or that time something.
        memory: Returns the bytes that it is expected to take, of its spec and its parents.
        disk: What it writes at most while it works, relative to what it leaves.
    """

    version: int
    function: str
    machine: Literal["shared", "alone"]
    memory: Memory = needs.little
    disk: float = 1.0

    def load(self) -> StepFunction:
        """Import the function."""
        module, _, name = self.function.partition(":")
        return getattr(importlib.import_module(module), name)


STEPS: dict[str, Step] = {
    "fetch": Step(1, "suture.hub.fetch:fetch", "shared", needs.fetch),
    "fetch_dataset": Step(1, "suture.hub.datasets:fetch_dataset", "shared"),
    "dataset": Step(2, "suture.heal.data.dataset:dataset", "shared", needs.dataset),
    "finetune": Step(1, "suture.heal.train:train", "alone", needs.train),
    "heal": Step(1, "suture.heal.train:train", "alone", needs.train),
    "fuse": Step(1, "suture.heal.fusing.fuse:fuse", "shared"),
    "merge": Step(2, "suture.merge.step:merge", "shared", needs.merge),
    "convert": Step(1, "suture.gguf.convert:convert", "shared", needs.convert, disk=2.0),
    "convert_lora": Step(1, "suture.gguf.lora:convert_lora", "shared"),
    "imatrix": Step(1, "suture.gguf.imatrix:imatrix", "shared", needs.read_text),
    "quantize": Step(1, "suture.gguf.quantize:quantize", "shared", needs.quantize),
    "reference": Step(1, "suture.gguf.reference:reference", "shared"),
    "perplexity": Step(2, "suture.bench.perplexity:perplexity", "shared", needs.read_text),
    "logits": Step(1, "suture.bench.divergence:logits", "shared", needs.read_text),
    "divergence": Step(1, "suture.bench.divergence:divergence", "shared", needs.read_text),
    "speed": Step(1, "suture.bench.bare_speed:speed", "alone", needs.serve),
    "probe": Step(1, "suture.heal.probing.probe:probe", "alone", needs.train),
    "benchmark": Step(2, "suture.bench.capability:benchmark", "alone", needs.serve),
}


_WAITING = {
    "shared": "waiting for the machine: another step needs it alone",
    "alone": "waiting for the machine: this step needs it alone",
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
    """Return a step's artifact: from the store, from its remote, or by running the step.

    Where the store has a remote, the artifact is there in the end; of all its machines one runs the step.

    Raises:
        CorruptArtifactError: When a parent is not in the store (any more).
        TransientError: When the remote does not answer.
        SutureError: Whatever the step itself raises.
    """
    started = time.monotonic()
    hit = find(planned.key, store, progress)
    if hit is None:
        with _turn(planned, store, progress):
            hit = _look(planned.key, store, progress)
            if hit is None:
                parents = [_require(parent, store, progress) for parent in planned.parents]
                artifact = _run(planned, parents, store, progress)
                _mirror(artifact, store, progress)
                return Outcome(artifact, cached=False, seconds=artifact.manifest.seconds)
    _mirror(hit, store, progress)
    return Outcome(hit, cached=True, seconds=time.monotonic() - started)


def find(key: str, store: Store, progress: Progress) -> Artifact | None:
    """Return an artifact from the store, or from its remote; None when neither has it."""
    hit = store.find(key)
    if hit is not None or store.remote is None:
        return hit
    with _lock(key, store, progress):
        return _look(key, store, progress)


def _look(key: str, store: Store, progress: Progress) -> Artifact | None:
    hit = store.find(key)
    if hit is None and store.remote is not None:
        hit = store.remote.pull(key, store, progress)
    return hit


def _mirror(artifact: Artifact, store: Store, progress: Progress) -> None:
    if store.remote is not None:
        store.remote.keep(artifact, store, progress)


def _lock(key: str, store: Store, progress: Progress) -> AbstractContextManager[None]:
    return store.lock(
        key,
        on_wait=lambda: progress.say("another process is building this; waiting"),
        still=locks.still_waits(progress, "waiting for another process"),
    )


def hold_machine(
    store: Store, progress: Progress, machine: Literal["shared", "alone"]
) -> AbstractContextManager[None]:
    """Hold this machine while the block runs, after waiting for those who hold it in a way that forbids this one."""
    return locks.locked(
        store.machine_lock,
        shared=machine == "shared",
        on_wait=lambda: progress.say(_WAITING[machine]),
        still=locks.still_waits(progress, _WAITING[machine]),
    )


@contextlib.contextmanager
def _turn(planned: PlannedStep, store: Store, progress: Progress) -> Generator[None]:
    """Keep others from building a step while the block runs: those of this machine, and those of its remote."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(_lock(planned.key, store, progress))
        if store.remote is not None and not store.has(planned.key):
            stack.enter_context(store.remote.leased(planned.key, store, progress))
        yield


def build_all(planned: PlannedStep, store: Store, progress: Progress) -> Outcome:
    """Build a step after all that it needs, one after the other, without Prefect.

    Collection is held off meanwhile. Who goes on to read what was made holds it off himself, around this call.
    """
    with store.in_use():
        if find(planned.key, store, progress) is None:
            for parent in planned.parents:
                build_all(parent, store, progress)
        return build(planned, store, progress)


def _run(planned: PlannedStep, parents: Sequence[Artifact], store: Store, progress: Progress) -> Artifact:
    kind = STEPS[planned.step]
    function = kind.load()
    with (
        hold_machine(store, progress, kind.machine),
        admitted(store, _claim(planned, parents), progress),
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


def _claim(planned: PlannedStep, parents: Sequence[Artifact]) -> Claim:
    kind = STEPS[planned.step]
    return Claim(
        label=planned.label,
        key=planned.key,
        memory=kind.memory(planned.spec, parents),
        disk=round(kind.disk * planned.size),
    )


def _require(parent: PlannedStep, store: Store, progress: Progress) -> Artifact:
    artifact = find(parent.key, store, progress)
    if artifact is None:
        raise CorruptArtifactError(
            f"What {parent.label!r} made is not in the store, or was damaged and set aside.",
            where=store.root,
            expected=parent.key,
            way_out="Run the same command again: it is rebuilt.",
        )
    return artifact


def store_of_this_machine() -> Store:
    """Return the store that the settings name, with its remote."""
    found = settings()
    return Store(found.store, open_remote(found.remote) if found.remote and not found.offline else None)
