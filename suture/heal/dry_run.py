"""A dry run of a training: two steps on its longest rows, and what all steps will take by that.

Both steps read the same rows: those that need the most memory. The first also makes the optimizer's moments and warms
everything up; the second is the one that is timed.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from suture.heal.data.dataset import HELD_OUT, ROWS
from suture.heal.train import LOSSES, TrainSpec, train
from suture.progress import Progress
from suture.store import Artifact, Workspace, durable

_STEPS = 2
_CHECKPOINTS = 2
"""The older one is removed when the newer is complete."""

Tensors = dict[str, NDArray[np.int32]]


class Estimate(BaseModel):
    """What a training is expected to take."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str
    optimizer: str
    trainable_parameters: int
    longest_row: int
    """Tokens of the longest sequence; both steps were made of the longest ones."""
    seconds_per_step: float
    """Of the second step."""
    tokens_per_second: float
    steps: int
    """Steps of the whole training; early stopping may spare some."""
    hours: float
    """For all of them, by the tokens that they read, padding included, and for measuring the held-out loss."""
    memory_bytes: int
    """The most that was used: of the GPU, or of the process where there is none."""
    device_memory_bytes: int
    """How much there is."""
    disk_bytes: int
    """For checkpoints and the result, while it runs."""
    free_disk_bytes: int


def dry_run(spec: TrainSpec, model: Artifact, data: Artifact, store: Path, progress: Progress) -> Estimate:
    """Train two steps in a temporary folder, and return what the whole training will take.

    Args:
        spec: The training.
        model: The checkpoint.
        data: The tokenised data.
        store: Where the training would keep its checkpoints; nothing is written there.
        progress: Told the steps.

    Raises:
        HostError: When even this needs more memory than there is.
        SutureError: What else stops the training.
    """
    short = spec.model_copy(
        update={
            "steps": _STEPS,
            "warmup_steps": _STEPS,  # at a learning rate near 0 nothing can break down
            "checkpoint_every": _STEPS,
            "evaluate_every": _STEPS if spec.evaluate_every else None,
            "patience": None,
        }
    )
    rows: Tensors = safetensors.numpy.load_file(data.path / ROWS)  # pyright: ignore[reportUnknownMemberType]
    per_step = spec.batch_size * spec.gradient_accumulation
    longest = np.argsort(-rows["lengths"], kind="stable")[:per_step]
    with tempfile.TemporaryDirectory(prefix="suture-dry-run-") as folder:
        work = Workspace("", Path(folder, "out"), Path(folder, "scratch"))
        for path in (work.out, work.scratch):
            path.mkdir()
        chosen = _write_rows(rows, [*longest] * _STEPS, data, Path(folder, "data"))
        facts = dict(train(short, [model, chosen], work, progress))
        last = json.loads((work.out / LOSSES).read_text().splitlines()[-1])
        checkpoint = _size(next(work.scratch.glob("checkpoint-*")))
        result = _size(work.out)
    seconds = int(rows["lengths"][longest].sum()) / last["tokens_per_second"]
    per_token = seconds / _read(rows["lengths"][longest], spec.batch_size)
    total = per_token * _read(rows["lengths"], spec.batch_size)
    if spec.evaluate_every:
        total += -(-spec.steps // spec.evaluate_every) * last["held_out_seconds"]
    kept = result if spec.patience else 0  # the best adapter is in the checkpoint too
    return Estimate.model_validate(
        {name: facts[name] for name in ("device", "optimizer", "trainable_parameters", "device_memory_bytes")}
        | {
            "longest_row": int(rows["lengths"].max()),
            "seconds_per_step": seconds,
            "tokens_per_second": last["tokens_per_second"],
            "steps": spec.steps,
            "hours": total / 3600,
            "memory_bytes": last["memory_bytes"],
            "disk_bytes": _CHECKPOINTS * (checkpoint + kept) + kept + result,
            "free_disk_bytes": shutil.disk_usage(store).free,
        }
    )


def _write_rows(rows: Tensors, chosen: Sequence[int], data: Artifact, folder: Path) -> Artifact:
    """Write some of the rows to a folder, and all held-out ones, and return it as if it were the data."""
    folder.mkdir()
    ends = np.cumsum(rows["lengths"])[:-1]
    split = {name: np.split(rows[name], ends) for name in ("input_ids", "labels")}
    some: Tensors = {name: np.concatenate([parts[row] for row in chosen]) for name, parts in split.items()}
    some["lengths"] = rows["lengths"][list(chosen)]
    safetensors.numpy.save_file(some, folder / ROWS)  # pyright: ignore[reportUnknownMemberType] -- of a path-like thing
    if (data.path / HELD_OUT).exists():
        shutil.copyfile(data.path / HELD_OUT, folder / HELD_OUT)
    return replace(data, path=folder)


def _read(lengths: NDArray[np.int32], batch: int) -> int:
    """Return how many tokens are read, padding included: each batch is as long as its longest row."""
    return sum(len(part) * int(part.max()) for part in np.split(lengths, range(batch, len(lengths), batch)))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in durable.walk_files(folder))
