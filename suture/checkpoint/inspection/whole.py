"""A look at a checkpoint: what it holds and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from suture.checkpoint.inspection.problems import Problem, find_problems
from suture.checkpoint.inspection.summary import Summary, summarize
from suture.checkpoint.reader import NonFinite, count_nonfinite, open_checkpoint
from suture.progress import Progress


@dataclass(frozen=True)
class Inspection:
    """What was found in a checkpoint.

    Attributes:
        summary: What it holds.
        problems: What is wrong with it, the worst first.
        nonfinite: What was counted in its weights; None if they were not read.
    """

    summary: Summary
    problems: tuple[Problem, ...]
    nonfinite: NonFinite | None


def inspect_checkpoint(folder: Path, progress: Progress, *, weights: bool = False) -> Inspection:
    """Look at a checkpoint.

    Args:
        folder: Where it is.
        progress: Is told the bytes read.
        weights: Also read all the weights, and count NaN and infinities.

    Raises:
        InputError: When the folder holds no checkpoint that can be read.
    """
    checkpoint = open_checkpoint(folder)
    summary = summarize(checkpoint.layout, str(folder))
    nonfinite = count_nonfinite(checkpoint, progress) if weights else None
    return Inspection(summary, find_problems(checkpoint, summary, nonfinite), nonfinite)
