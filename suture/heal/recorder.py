"""What is written down at every step of a training, and after every checkpoint."""

from __future__ import annotations

import json
import math
import resource
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from suture.errors import RecipeError
from suture.heal import checkpoints
from suture.heal.gates import GateSet
from suture.heal.train import LOSSES, TrainJob


class Recorder(TrainerCallback):
    """Writes one row per step, stops at the first loss that is no number, and seals checkpoints."""

    def __init__(self, job: TrainJob, lengths: Sequence[int], resumed: Path | None, gates: GateSet | None) -> None:
        self.path = job.scratch / LOSSES
        self._job = job
        self._lengths = lengths
        self._gates = gates
        self._started = 0.0
        if resumed is None:
            self.path.write_bytes(b"")
        else:  # rows of steps after the checkpoint are forgotten: those steps are done again
            shutil.copyfile(resumed / LOSSES, self.path)

    def on_step_begin(self, *_: object, **__: object) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_log(
        self,
        args: TrainingArguments,  # noqa: ARG002 -- the Trainer's signature
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002 -- the Trainer's signature
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        """Write the step's row; the Trainer's last call is a summary without a loss."""
        if logs is None or "loss" not in logs:
            return
        row = self._row(state.global_step, logs)
        self._check(row)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        sys.stdout.write(
            f"step {row['step']} of {self._job.spec.steps}  loss {row['loss']:.4f}  "
            f"learning rate {row['learning_rate']:.2e}  gradient norm {row['grad_norm']:.3f}  "
            f"{row['tokens_per_second']:.0f} tokens/s\n"
        )

    def on_save(
        self,
        args: TrainingArguments,  # noqa: ARG002 -- the Trainer's signature
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002 -- the Trainer's signature
        **_: object,
    ) -> None:
        """Seal the checkpoint that was written just now, and remove those before it."""
        folder = self._job.scratch / f"checkpoint-{state.global_step}"
        shutil.copyfile(self.path, folder / LOSSES)
        if self._gates:
            self._gates.save(folder)  # the Trainer knows the adapter alone
        checkpoints.seal(folder)
        checkpoints.newest_sound(self._job.scratch)

    def _row(self, step: int, logs: dict[str, float]) -> dict[str, float]:
        per_step = self._job.spec.batch_size * self._job.spec.gradient_accumulation
        tokens = sum(self._lengths[(step - 1) * per_step : step * per_step])
        return {
            "step": step,
            "loss": logs["loss"],
            "learning_rate": logs["learning_rate"],
            "grad_norm": logs["grad_norm"],
            "tokens_per_second": tokens / (time.perf_counter() - self._started),
            "memory_bytes": memory_bytes(),
        }

    def _check(self, row: dict[str, float]) -> None:
        if math.isfinite(row["loss"]) and math.isfinite(row["grad_norm"]):
            return
        raise RecipeError(
            "The training broke down: its loss or gradient is no number any more.",
            where=f"step {row['step']} of {self._job.spec.steps}",
            expected="a finite loss and gradient",
            found=f"loss {row['loss']}, gradient norm {row['grad_norm']}",
            way_out="Lower learning_rate or raise warmup_steps; at step 1, look for NaN in the model's weights.",
        )


def memory_bytes() -> int:
    """Return the most memory used so far: of the GPU where there is one, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
