"""Fusing what was trained into the 16-bit checkpoint it was trained on, tensor by tensor.

An adapter makes W + (alpha / rank) * B A of W; weights that were trained themselves take its place. In fp32, with one
rounding to the tensor's own dtype at the end. Whatever was not trained is copied bit for bit, even what transformers
would have dropped. Fused into the 4-bit weights that qlora trains on, the update would be lost.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from suture.checkpoint.adapter import open_adapter
from suture.checkpoint.companions import copy_companions, write_config
from suture.checkpoint.floats import from_float32, to_float32
from suture.checkpoint.reader import Checkpoint, open_checkpoint
from suture.checkpoint.tensors import TensorInfo, layer_order
from suture.checkpoint.writer import OutputTensor, write_checkpoint
from suture.errors import CheckpointError
from suture.heal.fusing.adapter import Change, Fusion, plan_fusion
from suture.heal.fusing.full import is_full, open_full, plan_full
from suture.heal.fusing.update import Matrix, changed_rows
from suture.heal.names import GATES
from suture.progress import Progress
from suture.recipe import Part
from suture.store import Artifact, Workspace

SHARD_BYTES = 5_000_000_000


class FuseSpec(Part):
    """Fusing has no settings: all that matters is in what was trained."""


@dataclass
class Survival:
    """How much of the update is left after rounding, added up over all tensors in fp64."""

    weights: float = 0.0
    """Sum of squares of the weights that are updated."""
    wanted: float = 0.0
    """Sum of squares of the update."""
    kept: float = 0.0
    """Inner product of the update and of what the rounded weights changed by."""

    def add(self, before: Matrix, wanted: Matrix, after: Matrix) -> None:
        """Count some rows in: as they were, as they should be, and rounded."""
        update = wanted - before
        self.weights += _inner(before, before)
        self.wanted += _inner(update, update)
        self.kept += _inner(update, after - before)

    @property
    def relative_delta(self) -> float:
        """Norm of the update, relative to that of the weights; 1 where they were all zero."""
        return math.sqrt(self.wanted / self.weights) if self.weights else 1.0

    @property
    def share(self) -> float:
        """Projection of what changed on the update: 1 when rounding took nothing in its direction."""
        return self.kept / self.wanted


def fuse(
    _spec: FuseSpec, parents: Sequence[Artifact], work: Workspace, progress: Progress
) -> Mapping[str, JsonValue]:
    """Write the checkpoint with what was trained in its weights.

    Args:
        _spec: Nothing.
        parents: The checkpoint, and the adapter or the trained tensors.
        work: Receives the checkpoint.
        progress: Told the bytes written.

    Raises:
        SourceError: When the adapter is of a kind that cannot be fused.
        CheckpointError: When it does not fit the checkpoint, or changes nothing.
    """
    checkpoint = open_checkpoint(parents[0].path)
    trained, fusion = _plan(checkpoint, parents[1].path)
    survival = Survival()
    tensors = [
        _output(name, info, checkpoint, trained, fusion.changes.get(name, Change(base=name)), survival)
        for name, info in sorted(fusion.layout.tensors.items(), key=lambda item: layer_order(item[0]))
    ]
    write_checkpoint(work.out, tensors, SHARD_BYTES, progress)
    if survival.kept == 0:
        raise CheckpointError(
            "The training changes nothing: its update is zero, or vanishes in the rounding.",
            where=trained.folder,
            expected="an update that changes weights",
            found=f"{len(fusion.changes)} tensors with an update of norm {math.sqrt(survival.wanted):.3g}",
            way_out="Raise learning_rate or steps of the training, or leave it or the adapter out.",
        )
    write_config(fusion.layout.config, work.out)
    copy_companions(checkpoint.folder, checkpoint.layout, work.out)
    changed = sum(not change.is_copy for change in fusion.changes.values())
    return {
        "tensors_changed": changed,
        "tensors_copied": len(tensors) - changed,
        "relative_delta": survival.relative_delta,
        "share_survived": survival.share,
        "bytes": fusion.layout.size,
    }


def _plan(checkpoint: Checkpoint, folder: Path) -> tuple[Checkpoint, Fusion]:
    """Return what was trained, opened, and what it makes of the checkpoint."""
    gates = read_gates(folder)
    if is_full(folder):
        trained = open_full(folder)
        return trained, plan_full(checkpoint.layout, trained.layout, gates)
    trained = open_adapter(folder)
    return trained, plan_fusion(checkpoint.layout, trained.layout, folder, gates)


def read_gates(folder: Path) -> dict[str, float]:
    """Return the gates beside what was trained, module -> factor; none if it was trained without."""
    path = folder / GATES
    return json.loads(path.read_bytes()) if path.exists() else {}


def _output(
    name: str, info: TensorInfo, checkpoint: Checkpoint, trained: Checkpoint, change: Change, survival: Survival
) -> OutputTensor:
    if change.is_copy:
        return OutputTensor(name, info.dtype, info.shape, checkpoint.extents[change.base])
    rows = partial(changed_rows, checkpoint, trained, change)
    return OutputTensor(name, info.dtype, info.shape, _rounded(rows, info.dtype, survival))


def _rounded(
    rows: Callable[[], Iterator[tuple[Matrix, Matrix]]], dtype: str, survival: Survival
) -> Callable[[], Iterator[bytes]]:
    """Return a function that gives a tensor's new bytes, and counts what the rounding takes."""

    def chunks() -> Iterator[bytes]:
        for before, wanted in rows():
            data = from_float32(wanted, dtype)
            survival.add(before, wanted, to_float32(data, dtype).reshape(before.shape))
            yield data

    return chunks


def _inner(one: Matrix, other: Matrix) -> float:
    return float(np.einsum("ij,ij->", one, other, dtype=np.float64))
