"""Which artifacts are published, and which of their files under which names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from suture.errors import HostError
from suture.hub.files import is_beside_weights, is_weights
from suture.recipe import Recipe
from suture.report.build import load_report
from suture.report.data import ReportData
from suture.store import Artifact, RunRecord, Store
from suture.store.lineage import lineage
from suture.store.runs import list_runs

Only = Literal["checkpoint", "gguf"]

_CHECKPOINTS = ("merge", "fuse")
_GGUFS = ("convert", "quantize", "convert_lora")
_ADAPTER = ("adapter_model.safetensors", "adapter_config.json")


@dataclass(frozen=True)
class StoredFile:
    """A file of an artifact under its name in the repository."""

    name: str
    path: Path
    size: int
    sha256: str
    key: str
    """Key of the artifact."""


@dataclass(frozen=True)
class Release:
    """What is published.

    Attributes:
        name: Name of the model.
        artifacts: Those that hold the files.
        made_of: These and all that they were made of, parents before children.
        files: The files, checked against the store's manifests.
        recipe: What was asked for; None where no run of it is known.
        report: What its run found out; None where there is no report.
    """

    name: str
    artifacts: tuple[Artifact, ...]
    made_of: tuple[Artifact, ...]
    files: tuple[StoredFile, ...]
    recipe: Recipe | None
    report: ReportData | None

    @property
    def has_checkpoint(self) -> bool:
        """Whether the 16-bit checkpoint is among the files."""
        return any(is_weights(file.name) for file in self.files)

    @property
    def ggufs(self) -> tuple[StoredFile, ...]:
        """The models for llama.cpp."""
        return tuple(file for file in self.files if file.name.endswith(".gguf") and file != self.lora)

    @property
    def lora(self) -> StoredFile | None:
        """The heal's adapter for llama.cpp, to be served beside the model; None where it is in the weights."""
        steps = {artifact.key: artifact.manifest.step for artifact in self.artifacts}
        return next((file for file in self.files if steps[file.key] == "convert_lora"), None)


def pick(store: Store, key: str, only: Only | None = None) -> Release:
    """Return what a run's name, or the beginning of an artifact's key, stands for.

    Of a run it is the final model: healed if the recipe heals, else the merge; its checkpoint and its GGUFs.

    Args:
        store: Where it lies.
        key: The run or artifact.
        only: Leave out the other files of a run.

    Raises:
        HostError: When there is no such run or artifact, or it is nothing to publish.
        CorruptArtifactError: When what it was made of is not in the store any more.
    """
    runs = list_runs(store)
    named = next((run for run in runs if run.run == key), None)
    if named is not None:
        return _release(store, named, _of_run(store, named, only))
    artifact = store.load(store.resolve_prefix(key))
    if artifact.manifest.step not in (*_CHECKPOINTS, *_GGUFS):
        raise HostError(
            "This artifact is nothing to publish.",
            where=artifact.key,
            expected=f"one of the step {', '.join((*_CHECKPOINTS, *_GGUFS))}",
            found=f"one of the step {artifact.manifest.step}",
            way_out="Name a run (`suture report` prints the newest), or the artifact of a merge or a GGUF.",
        )
    return _release(store, next((run for run in runs if artifact.key in run.keys), None), (artifact,))


def _of_run(store: Store, run: RunRecord, only: Only | None) -> tuple[Artifact, ...]:
    if run.state != "completed":
        raise HostError(
            "This run has not completed.",
            where=run.run,
            found=run.state,
            way_out="Run its recipe again: what was finished is kept.",
        )
    keys = {step.label: step.key for step in run.steps}
    final = keys.get("fuse healed") or keys["merge"]
    checkpoint = store.load(final)
    quantized = [store.load(step.key) for step in run.steps if step.step == "quantize"]
    ggufs = tuple(artifact for artifact in quantized if final in _checkpoints(store, artifact))
    beside = {} if "fuse healed" in keys else keys  # what a heal learned, where it is not in the weights
    lora, adapter = (_loaded(store, beside.get(label)) for label in ("convert lora healed", "heal healed"))
    chosen = {"checkpoint": (checkpoint, *adapter), "gguf": (*ggufs, *lora)}
    return chosen[only] if only else (*chosen["checkpoint"], *chosen["gguf"])


def _loaded(store: Store, key: str | None) -> tuple[Artifact, ...]:
    return () if key is None else (store.load(key),)


def _checkpoints(store: Store, quantized: Artifact) -> set[str]:
    """Return the key of the checkpoint that a GGUF was converted from; its other parent is an importance matrix."""
    parents = [store.load(key).manifest for key in quantized.manifest.parents]
    return {key for parent in parents if parent.step == "convert" for key in parent.parents}


def _release(store: Store, run: RunRecord | None, artifacts: Sequence[Artifact]) -> Release:
    made_of = lineage(store, [artifact.key for artifact in artifacts])
    recipe = _recipe(run)
    name = recipe.name if recipe is not None else f"suture-{artifacts[-1].key[:12]}"
    return Release(
        name=name,
        artifacts=tuple(artifacts),
        made_of=made_of,
        files=tuple(file for artifact in artifacts for file in _files(artifact, name)),
        recipe=recipe,
        report=_report(store, run),
    )


def _files(artifact: Artifact, name: str) -> list[StoredFile]:
    if artifact.manifest.step == "heal":
        return [
            StoredFile(f"adapter/{file.path}", artifact.path / file.path, file.size, file.sha256, artifact.key)
            for file in artifact.manifest.files
            if file.path in _ADAPTER
        ]
    if artifact.manifest.step in _GGUFS:
        type_ = str(artifact.facts.get("type", "")).upper()
        type_ = f"lora-{type_}" if artifact.manifest.step == "convert_lora" else type_
        path = artifact.only(".gguf")
        entry = next(file for file in artifact.manifest.files if file.path == path.name)
        return [StoredFile(f"{name}-{type_}.gguf", path, entry.size, entry.sha256, artifact.key)]
    return [
        StoredFile(file.path, artifact.path / file.path, file.size, file.sha256, artifact.key)
        for file in artifact.manifest.files
        if is_weights(file.path) or is_beside_weights(file.path)
    ]


def _recipe(run: RunRecord | None) -> Recipe | None:
    try:
        return None if run is None else Recipe.model_validate(run.recipe)
    except ValidationError:  # of an older Suture
        return None


def _report(store: Store, run: RunRecord | None) -> ReportData | None:
    try:
        return None if run is None else load_report(store, run.run).data
    except HostError:
        return None
