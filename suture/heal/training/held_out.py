"""The held-out loss: measured on rows that no training step sees, and the end of a training that no longer lowers it.

What was measured stands in losses.jsonl, and the adapter of the lowest loss in a folder of its own. Both are part of
each checkpoint, so that a killed training stops at the same step, with the same adapter, as an undisturbed one.
"""

# torch and transformers are partly untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from suture.heal.data.chat import NO_LOSS
from suture.heal.train import LOSSES, TrainSpec
from suture.heal.training import ranks
from suture.heal.training.rows import Row, collate
from suture.store import durable

BEST = Path("held_out", "best")
"""Not a folder directly in the checkpoint: there the Trainer would take it for a second adapter to go on with."""


class HeldOut:
    """Measures the held-out loss of a training, and keeps the adapter of the lowest.

    Args:
        model: The model under training.
        spec: How it is trained.
        rows: What is measured on.
        scratch: Where the best adapter is kept.
        resumed: The checkpoint that the training goes on from.
        save: Writes the adapter as it is now into a folder.
    """

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        spec: TrainSpec,
        rows: Sequence[Row],
        scratch: Path,
        resumed: Path | None,
        save: Callable[[Path], None],
    ) -> None:
        self.best = scratch / BEST
        self._model = model
        self._spec = spec
        self._rows = rows
        self._save = save
        self._losses = _measured(resumed / LOSSES) if resumed else []
        if not ranks.is_first():
            return
        durable.remove_tree(self.best)
        if resumed and (resumed / BEST).exists():
            shutil.copytree(resumed / BEST, self.best)

    @property
    def is_at_plateau(self) -> bool:
        """Whether the loss has not fallen below its lowest for `patience` measurements."""
        if self._spec.patience is None or not self._losses:
            return False
        return len(self._losses) - 1 - self._losses.index(min(self._losses)) >= self._spec.patience

    def is_due(self, step: int) -> bool:
        """Return whether the loss is to be measured after a step."""
        assert self._spec.evaluate_every is not None  # noqa: S101 -- else there is nothing to measure on
        return step % self._spec.evaluate_every == 0 or step == self._spec.steps

    def measure(self) -> float:
        """Return the loss per learned token of the held-out rows; draws no random numbers."""
        self._model.eval()
        total, tokens = 0.0, 0
        with torch.no_grad():
            for start in range(0, len(self._rows), self._spec.batch_size):
                batch = collate(self._rows[start : start + self._spec.batch_size])
                here = {name: part.to(self._model.device) for name, part in batch.items()}
                learned = _learned(batch)
                total += self._model(**here).loss.item() * learned
                tokens += learned
        ranks.share_out(self._model)
        self._model.train()
        self._losses.append(total / tokens)
        return total / tokens

    def keep_best(self) -> None:
        """Keep the adapter if the loss that was measured last is the lowest, and the training may stop early."""
        if self._spec.patience is None or self._losses.index(min(self._losses)) < len(self._losses) - 1:
            return
        if ranks.is_first():
            durable.remove_tree(self.best)
            self.best.mkdir(parents=True)
        self._save(self.best)

    def put_into(self, checkpoint: Path) -> None:
        """Add the best adapter to a checkpoint."""
        if self.best.exists():
            shutil.copytree(self.best, checkpoint / BEST)


def _learned(batch: Row) -> int:
    """Return how many tokens of a batch loss is taken on; the first of a row is predicted by nothing."""
    return int((batch["labels"][:, 1:] != NO_LOSS).sum())


def _measured(losses: Path) -> list[float]:
    rows = (json.loads(line) for line in losses.read_text().splitlines())
    return [row["held_out_loss"] for row in rows if "held_out_loss" in row]
