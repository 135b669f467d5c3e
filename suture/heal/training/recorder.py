"""What is written down at every step of a training, and after every checkpoint."""

from __future__ import annotations

import json
import math
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from suture.errors import RecipeError
from suture.heal.train import LOSSES, STOPPED, TrainJob
from suture.heal.training import checkpoints, ranks
from suture.heal.training.gates import GateSet
from suture.heal.training.held_out import HeldOut
from suture.heal.training.memory import memory_bytes
from suture.progress import human_bytes


class Recorder(TrainerCallback):
    """Writes one row per step, stops at a plateau or at the first loss that is no number, and seals checkpoints.

    Args:
        job: The training.
        lengths: Tokens of each row, in the order of training.
        resumed: The checkpoint that it goes on from.
        gates: The gates that the Trainer does not know of.
        held_out: Measures the held-out loss.
    """

    def __init__(
        self,
        job: TrainJob,
        lengths: Sequence[int],
        resumed: Path | None,
        gates: GateSet | None,
        held_out: HeldOut | None,
    ) -> None:
        self.path = job.scratch / LOSSES
        self._job = job
        self._lengths = lengths
        self._gates = gates
        self._held_out = held_out
        self._started = 0.0
        if not ranks.is_first():
            return
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
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        """Write the step's row; the Trainer's last call is a summary without a loss."""
        if logs is None or "loss" not in logs:
            return
        row = self._row(state.global_step, logs)
        self._check(row)
        if self._held_out and self._held_out.is_due(state.global_step):
            started = time.perf_counter()
            row["held_out_loss"] = self._held_out.measure()
            row["held_out_seconds"] = time.perf_counter() - started
            self._held_out.keep_best()
        if ranks.is_first():
            with self.path.open("a") as file:
                file.write(json.dumps(row) + "\n")
            sys.stdout.write(_line(row, self._job.spec.steps))
        if self._held_out and self._held_out.is_at_plateau:
            control.should_training_stop = control.should_save = True
            if ranks.is_first():
                sys.stdout.write(f"{STOPPED}: the held-out loss no longer falls\n")

    def on_save(
        self,
        args: TrainingArguments,  # noqa: ARG002 -- the Trainer's signature
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002 -- the Trainer's signature
        **_: object,
    ) -> None:
        """Seal the checkpoint that was written just now, and remove those before it."""
        folder = self._job.scratch / f"checkpoint-{state.global_step}"
        ranks.wait()  # each writes a part of it
        if self._gates:
            self._gates.save(folder)  # the Trainer knows the adapter alone
        if not ranks.is_first():
            return
        shutil.copyfile(self.path, folder / LOSSES)
        if self._held_out:
            self._held_out.put_into(folder)
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


def _line(row: dict[str, float], steps: int) -> str:
    """Return what is shown of a row; `train.py` reads its beginning."""
    parts = [
        f"step {row['step']} of {steps}",
        f"loss {row['loss']:.4f}",
        f"learning rate {row['learning_rate']:.2e}",
        f"gradient norm {row['grad_norm']:.3f}",
        f"{row['tokens_per_second']:.0f} tokens/s",
        f"memory {human_bytes(row['memory_bytes'])}",
    ]
    if "held_out_loss" in row:
        parts.insert(2, f"held-out loss {row['held_out_loss']:.4f}")
    return "  ".join(parts) + "\n"
