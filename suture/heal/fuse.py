"""Fusing an adapter into the 16-bit checkpoint it was trained on: W + (alpha / rank) * B A, tensor by tensor.

In fp32, with one rounding to the tensor's own dtype at the end. Whatever has no adapter is copied bit for bit, even
what transformers would have dropped. Fused into the 4-bit weights that qlora trains on, the update would be lost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import JsonValue

from suture.checkpoint.companions import copy_companions, write_config
from suture.checkpoint.floats import FLOATS, from_float32, to_float32
from suture.checkpoint.reader import Checkpoint, Extent, open_checkpoint, read_chunks
from suture.checkpoint.strict_json import read_json_object
from suture.checkpoint.tensors import TensorInfo, layer_order
from suture.checkpoint.writer import OutputTensor, write_checkpoint
from suture.errors import CheckpointError
from suture.heal.train import ADAPTER, ADAPTER_CONFIG
from suture.progress import Progress
from suture.recipe import Part
from suture.store import Artifact, Workspace

SHARD_BYTES = 5_000_000_000
_CHUNK_ELEMENTS = 4 * 2**20
"""Numbers fused at a time, in whole rows: about 100 MB with everything in flight."""

_PEFT_PREFIX = "base_model.model."
_A, _B = ".lora_A.weight", ".lora_B.weight"

Matrix = NDArray[np.float32]


class FuseSpec(Part):
    """Fusing has no settings: all that matters is in the adapter."""


@dataclass(frozen=True)
class Update:
    """What an adapter adds to one tensor: `scale * b @ a`."""

    a: Matrix  # (rank, columns)
    b: Matrix  # (rows, rank)
    scale: np.float32

    @property
    def shape(self) -> tuple[int, int]:
        """The tensor's shape."""
        return self.b.shape[0], self.a.shape[1]

    def rows(self, start: int, end: int) -> Matrix:
        """Return some rows of the update."""
        return (self.b[start:end] @ self.a) * self.scale


@dataclass
class Survival:
    """How much of the update is left after rounding, added up over all tensors in fp64."""

    weights: float = 0.0
    """Sum of squares of the weights that are updated."""
    wanted: float = 0.0
    """Sum of squares of the update."""
    kept: float = 0.0
    """Inner product of the update and of what the rounded weights changed by."""

    def add(self, before: Matrix, update: Matrix, after: Matrix) -> None:
        """Count some rows in."""
        self.weights += _inner(before, before)
        self.wanted += _inner(update, update)
        self.kept += _inner(update, after - before)

    @property
    def relative_delta(self) -> float:
        """Norm of the update, relative to that of the weights."""
        return math.sqrt(self.wanted / self.weights)

    @property
    def share(self) -> float:
        """Projection of what changed on the update: 1 when rounding took nothing in its direction."""
        return self.kept / self.wanted


def fuse(
    _spec: FuseSpec, parents: Sequence[Artifact], work: Workspace, progress: Progress
) -> Mapping[str, JsonValue]:
    """Write the checkpoint with the adapter in its weights.

    Args:
        _spec: Nothing.
        parents: The checkpoint and the adapter.
        work: Receives the checkpoint.
        progress: Told the bytes written.

    Raises:
        CheckpointError: When the adapter does not fit the checkpoint, or changes nothing.
    """
    model, adapter = parents
    checkpoint = open_checkpoint(model.path)
    updates = match_updates(read_updates(adapter.path), checkpoint.layout.tensors)
    survival = Survival()
    tensors = [
        _output(checkpoint, name, updates.get(name), survival)
        for name in sorted(checkpoint.layout.tensors, key=layer_order)
    ]
    write_checkpoint(work.out, tensors, SHARD_BYTES, progress)
    if survival.kept == 0:
        raise CheckpointError(
            "The adapter changes nothing: its update is zero, or vanishes in the rounding.",
            where=adapter.path / ADAPTER,
            expected="an update that changes weights",
            found=f"{len(updates)} tensors with an update of norm {math.sqrt(survival.wanted):.3g}",
            way_out="Raise learning_rate or steps.",
        )
    write_config(checkpoint.layout.config, work.out)
    copy_companions(model.path, checkpoint.layout, work.out)
    return {
        "tensors_changed": len(updates),
        "tensors_copied": len(tensors) - len(updates),
        "relative_delta": survival.relative_delta,
        "share_survived": survival.share,
        "bytes": checkpoint.layout.size,
    }


def read_updates(folder: Path) -> dict[str, Update]:
    """Return an adapter's update for each of its modules.

    Raises:
        CheckpointError: When a tensor has no partner, or is no LoRA factor.
    """
    config = read_json_object(folder / ADAPTER_CONFIG)
    scale = np.float32(_number(config, "lora_alpha") / _number(config, "r"))
    factors: dict[str, Matrix] = safetensors.numpy.load_file(folder / ADAPTER)  # pyright: ignore[reportUnknownMemberType]
    modules = {name.removesuffix(_A).removesuffix(_B) for name in factors}
    partners = {module + suffix for module in modules for suffix in (_A, _B)}
    if partners != factors.keys() or not modules:
        raise CheckpointError(
            "The adapter is not made of pairs of LoRA factors.",
            where=folder / ADAPTER,
            expected=f"pairs of names that end with {_A} and {_B}",
            found=", ".join(sorted(partners ^ factors.keys())[:4]) or "no tensors",
        )
    return {
        module.removeprefix(_PEFT_PREFIX): Update(factors[module + _A], factors[module + _B], scale)
        for module in sorted(modules)
    }


def match_updates(updates: Mapping[str, Update], tensors: Mapping[str, TensorInfo]) -> dict[str, Update]:
    """Return each update under the name of the tensor that it belongs to.

    A module's name in the trained class may begin otherwise than in the checkpoint (`model.layers.0` and
    `model.language_model.layers.0`), but alike for all modules: one beginning is exchanged for another, if exactly
    one fits.

    Raises:
        CheckpointError: When none fits or several do, or shapes differ.
    """
    names = _rename(list(updates), tensors)
    matched = {names[module]: update for module, update in updates.items()}
    for name, update in matched.items():
        info = tensors[name]
        if info.shape != update.shape or info.dtype not in FLOATS:
            raise CheckpointError(
                "The adapter does not fit the checkpoint.",
                where=name,
                expected=f"shape {list(update.shape)} and a dtype of {', '.join(FLOATS)}",
                found=str(info),
            )
    return matched


def _rename(modules: Sequence[str], tensors: Mapping[str, TensorInfo]) -> dict[str, str]:
    """Return module -> tensor, keeping as much of the modules' names as possible."""
    weights = {name.removesuffix(".weight") for name in tensors if name.endswith(".weight")}
    depth = min(module.count(".") for module in modules)
    for dropped in range(depth + 1):
        rests = {module: ".".join(module.split(".")[dropped:]) for module in modules}
        beginnings = _beginnings(list(rests.values()), weights)
        if len(beginnings) == 1 and len(set(rests.values())) == len(modules):
            return {module: f"{beginnings[0]}{rest}.weight" for module, rest in rests.items()}
        if beginnings:
            break
    else:
        beginnings = []
    raise CheckpointError(
        "The adapter's layers cannot be told among the checkpoint's tensors.",
        expected=f"one beginning of names under which all {len(modules)} layers of the adapter are found",
        found=f"{beginnings or 'none'}, for layers such as {modules[0]}",
        way_out="The adapter was trained on another model.",
    )


def _beginnings(rests: Sequence[str], weights: set[str]) -> list[str]:
    first = rests[0]
    found = {name.removesuffix(first) for name in weights if name == first or name.endswith(f".{first}")}
    return sorted(beginning for beginning in found if all(beginning + rest in weights for rest in rests))


def _output(checkpoint: Checkpoint, name: str, update: Update | None, survival: Survival) -> OutputTensor:
    info, extent = checkpoint.layout.tensors[name], checkpoint.extents[name]
    source = extent if update is None else _fused(extent, info.dtype, update, survival)
    return OutputTensor(name, info.dtype, info.shape, source)


def _fused(extent: Extent, dtype: str, update: Update, survival: Survival) -> Callable[[], Iterator[bytes]]:
    """Return a function that gives the tensor's new bytes, a few rows at a time."""
    height, width = update.shape
    rows = max(1, _CHUNK_ELEMENTS // width)
    row_bytes = extent.length // height

    def chunks() -> Iterator[bytes]:
        for number, data in enumerate(read_chunks(extent, rows * row_bytes)):
            before = to_float32(data, dtype).reshape(-1, width)
            delta = update.rows(number * rows, number * rows + len(before))
            fused = from_float32(before + delta, dtype)
            survival.add(before, delta, to_float32(fused, dtype).reshape(-1, width))
            yield fused

    return chunks


def _inner(one: Matrix, other: Matrix) -> float:
    return float(np.einsum("ij,ij->", one, other, dtype=np.float64))


def _number(config: Mapping[str, JsonValue], key: str) -> float:
    value = config.get(key)
    if not isinstance(value, int | float):
        raise CheckpointError("The adapter's config is malformed.", where=key, expected="a number", found=value)
    return float(value)
