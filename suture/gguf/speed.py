"""Speed of the bare model, by llama-bench: no server, no sampling, no chat template."""

from __future__ import annotations

import json
import math
import re
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suture.errors import ProcessError
from suture.gguf import toolchain
from suture.gguf.measured import Measured
from suture.gguf.runner import environment, run_tool
from suture.process import tail
from suture.progress import Progress
from suture.settings import settings

_RUN = re.compile(r"llama-bench: benchmark (\d)/2: (prompt|generation) run (\d+)/(\d+)")


@dataclass(frozen=True)
class BareSpeed:
    """Tokens per second on this machine.

    Attributes:
        prompt: While reading a prompt.
        generation: While generating, on an empty context.
        threads: Threads it ran with.
        device: What it ran on, as llama.cpp names it.
    """

    prompt: Measured
    generation: Measured
    threads: int
    device: str


def measure_speed(
    gguf: Path, *, prompt: int, generate: int, repeats: int, log: Path, progress: Progress, threads: int | None = None
) -> BareSpeed:
    """Time a model; the caller sees to it that nothing else runs on the machine.

    Args:
        gguf: The model.
        prompt: Tokens of the prompt.
        generate: Tokens that are generated.
        repeats: How often each is timed, at least twice, after one run to warm up.
        log: File that receives what the tool writes.
        progress: Gets the runs done.
        threads: Those of the settings when None.

    Raises:
        ProcessError: When the tool fails, or comes to no number.
    """

    def watch(line: str) -> None:
        run = _RUN.match(line)
        if run:
            progress.update((int(run[1]) - 1) * repeats + int(run[3]), 2 * repeats, f"runs ({run[2]})")

    completed = run_tool(
        [
            toolchain.ensure(progress).binary("llama-bench"),
            *("--model", gguf, "--n-prompt", str(prompt), "--n-gen", str(generate), "--repetitions", str(repeats)),
            *("--threads", str(threads or settings().threads), "--output", "jsonl", "--progress"),
        ],
        log=log,
        doing="timing the model",
        env=environment(),
        on_line=watch,
    )
    found = parse_speed(completed.output)
    if found is None:
        raise ProcessError("llama-bench came to no number.", status=completed.status, tail=tail(log), where=log)
    return found


def parse_speed(output: str) -> BareSpeed | None:
    """Return what llama-bench found, or None when a test is missing or has no numbers.

    Args:
        output: All that it wrote: a JSON object per test, among lines for people.
    """
    rows = [row for line in output.splitlines() if line.startswith("{") for row in _object(line)]
    speeds = {bool(row["n_prompt"]): _measured(row["samples_ts"]) for row in rows}
    prompt, generation = speeds.get(True), speeds.get(False)
    if prompt is None or generation is None:
        return None
    device = rows[0].get("gpu_info") or rows[0].get("cpu_info") or ""
    return BareSpeed(prompt, generation, int(rows[0]["n_threads"]), str(device))


def _object(line: str) -> list[dict[str, Any]]:
    """Return the object that a line holds whole, if it does."""
    try:
        return [json.loads(line)]
    except ValueError:  # cut off
        return []


def _measured(samples: list[float]) -> Measured | None:
    """Return mean and standard error over the repeats; what the tool prints as its spread is that of single runs."""
    if len(samples) < 2 or not all(math.isfinite(sample) and sample > 0 for sample in samples):
        return None
    return Measured(statistics.fmean(samples), statistics.stdev(samples) / math.sqrt(len(samples)))
