"""The training step: writes down the job, runs it in a process of its own, and follows it.

Torch, transformers and peft are loaded by that process alone, so that planning stays quick, a run's process stays
small, and whatever the training allocated is gone when it ends.
"""

from __future__ import annotations

import errno
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from suture.errors import HostError, ProcessError
from suture.heal.child import FAILURE, JOB, RESULT, Failure, environment, rebuild
from suture.heal.data.dataset import HELD_OUT, ROWS
from suture.heal.training.launch import command, threads_each, visible_gpus, was_killed, written_out
from suture.process import run, tail
from suture.progress import Progress
from suture.recipe import Part
from suture.settings import settings
from suture.store import Artifact, Workspace

LOSSES = "losses.jsonl"
LOG = "train.log"

TRACEBACK = "traceback.txt"

STOPPED = "stopped early"
"""How the line begins that tells of it."""

_STEP_LINE = re.compile(r"step (\d+) of (\d+)  (.*)")
_FULL_DISK = 2**20  # bytes free


class Gates(Part):
    """Factors on what some layers add to the residual stream."""

    layers: Annotated[tuple[int, ...], Field(min_length=1)]
    """Which layers."""
    start: float = Field(ge=0)
    """Their factor before training."""
    learning_rate: float = Field(ge=0)
    """Peak learning rate; at 0 the factors stay as they are."""


class TrainSpec(Part):
    """How a model is trained; most fields are those of `suture.recipe.Training`, which describes them."""

    method: Literal["lora", "qlora", "full"]
    rank: int = Field(ge=1)
    alpha: float = Field(gt=0)
    targets: Annotated[tuple[str, ...], Field(min_length=1)]
    learning_rate: float = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    gradient_accumulation: int = Field(ge=1)
    checkpoint_every: int = Field(ge=1)
    seed: int = Field(ge=0)
    backend: Literal["peft", "unsloth"] = "peft"
    processes: int = Field(default=1, ge=1)
    optimizer: Literal["auto", "adamw", "paged_adamw_8bit"] = "auto"
    evaluate_every: int | None = Field(default=None, ge=1)
    patience: int | None = Field(default=None, ge=1)
    layers: Annotated[tuple[int, ...], Field(min_length=1)] | None = None
    """The layers that are trained; None means all."""
    gates: Gates | None = None
    """Factors on repeated layers."""


class TrainJob(BaseModel):
    """What the training process is told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: TrainSpec
    model: Path
    """Folder of the 16-bit checkpoint."""
    rows: Path
    """The tokenised data."""
    held_out: Path | None = None
    """Rows to measure the held-out loss on."""
    out: Path
    """Receives the adapter and the losses."""
    scratch: Path
    """Keeps training checkpoints from one attempt to the next, and what the process answers."""
    threads: int
    """Threads for arithmetic. Sums are split by threads, so another number gives other last bits."""


def train(
    spec: TrainSpec, parents: Sequence[Artifact], work: Workspace, progress: Progress
) -> Mapping[str, JsonValue]:
    """Train an adapter, or the weights themselves; a killed training goes on from its last checkpoint.

    Args:
        spec: How.
        parents: The checkpoint and the tokenised data.
        work: Receives adapter_model.safetensors and adapter_config.json (or the trained tensors and full.json),
            losses.jsonl and train.log.
        progress: Told the steps.

    Raises:
        RecipeError: When the model has none of the target layers, or the loss is no longer a number.
        HostError: When memory runs out.
        OSError: When the disk is full.
        ProcessError: When the training process fails otherwise.
    """
    model, data = parents
    job = TrainJob(
        spec=spec,
        model=model.path,
        rows=data.path / ROWS,
        held_out=data.path / HELD_OUT if spec.evaluate_every else None,
        out=work.out,
        scratch=work.scratch,
        threads=threads_each(settings().threads, spec.processes),
    )
    (work.scratch / JOB).write_text(job.model_dump_json(indent=1))
    _run(job, progress)
    shutil.copyfile(work.scratch / LOG, work.out / LOG)
    return json.loads((work.scratch / RESULT).read_bytes())


def _run(job: TrainJob, progress: Progress) -> None:
    failure, traceback = job.scratch / FAILURE, job.scratch / TRACEBACK
    for left in (failure, traceback):
        left.unlink(missing_ok=True)
    argv = command(job.scratch / JOB, job.spec.processes, job.threads)
    if job.spec.processes > 1:
        with (job.scratch / LOG).open("a") as log:
            log.write(f"$ {written_out(argv)}\n")
        progress.say(f"starting {job.spec.processes} processes: {written_out(argv)}")
    progress.say("loading the model")

    def follow(line: str) -> None:
        if found := _STEP_LINE.match(line):
            progress.update(int(found[1]), int(found[2]), "steps", found[3])
        elif line.startswith(STOPPED):
            progress.say(line.strip())

    try:
        run(
            argv,
            log=job.scratch / LOG,
            doing="training",
            cwd=job.scratch,  # so that no file of the caller's folder is taken for a module
            env=environment(job.threads) | visible_gpus(job.spec.processes),
            on_line=follow,
        )
    except ProcessError as error:
        if failure.exists():
            raise rebuild(Failure.model_validate_json(failure.read_bytes())) from error
        meaning = _meaning(error, job, traceback)
        if meaning is None:
            raise
        raise meaning from error


def _meaning(error: ProcessError, job: TrainJob, traceback: Path) -> Exception | None:
    """Return what the end of a training means that it could not explain itself; None if no more is known."""
    if shutil.disk_usage(job.scratch).free < _FULL_DISK:
        return OSError(errno.ENOSPC, "no space left for a training checkpoint")
    if traceback.exists():  # of the process that failed first; the log ends with what its launcher says
        return ProcessError("Failed while training.", status=error.status, tail=tail(traceback), where=error.where)
    if was_killed(error.status, error.tail):
        return HostError(
            "The training process was killed, most likely because the machine ran out of memory.",
            where=job.scratch / LOG,
            found=error.tail,
            way_out="Use method qlora, a smaller batch_size or sequence_length, or a machine with more memory. "
            "The same command goes on from the last checkpoint.",
        )
    return None
