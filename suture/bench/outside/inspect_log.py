"""A finished run as a log of inspect_ai, so that `inspect view` shows it.

inspect_ai itself writes the log, of a run in which the recorded answers are given again: nothing is asked, run or
judged anew. Its clocks therefore tell nothing; the answers carry the times that were measured.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from inspect_ai import Epochs, Task
from inspect_ai import eval as run_task  # pyright: ignore[reportUnknownVariableType] -- scanners of an extra
from inspect_ai.dataset import MemoryDataset
from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.scorer import Score as InspectScore
from inspect_ai.scorer import Scorer, Target, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver

from suture.bench.outside.inspect_judge import METRICS, verdict
from suture.bench.outside.inspect_lead import question_of
from suture.bench.outside.inspect_messages import messages_of, output_of, tools_of
from suture.bench.samples import Place, Sample, Samples
from suture.bench.suite import Server, Transcript, select
from suture.errors import InputError, VerificationError
from suture.store import durable

Recorded = Mapping[Place, Sample]


def write_inspect_log(folder: Path, file: Path, model: str) -> None:
    """Write a run's samples as a log of inspect_ai.

    Args:
        folder: Holds the run's samples.jsonl.
        file: What is written; should end with `.eval`.
        model: What the log calls the model.

    Raises:
        InputError: When the folder holds no samples, or not all of a run.
        VerificationError: When inspect_ai does not complete the log.
    """
    samples = Samples.read(folder)
    if not samples:
        raise InputError("There are no samples.", where=folder, expected="the folder that `suture bench` wrote to")
    recorded = {sample.place: sample for sample in samples}
    repeats = max(sample.repeat for sample in samples) + 1
    asked = len({sample.test for sample in samples}) * repeats
    if len(recorded) < asked:
        raise InputError(
            "The run is not complete.",
            where=folder,
            expected=f"{asked} samples",
            found=len(recorded),
            way_out="Run the same `suture bench` again: it goes on where it was.",
        )
    with tempfile.TemporaryDirectory() as logs:
        (log,) = run_task(
            _task(samples, recorded),
            model=f"mockllm/{model}",
            epochs=Epochs(repeats, "mean"),
            display="none",
            log_dir=logs,
            log_format="eval",
            metadata={"recorded by": "suture bench"},
        )
        if log.status != "success":
            raise VerificationError("inspect_ai did not complete the log.", where=file, found=log.error)
        file.parent.mkdir(parents=True, exist_ok=True)
        durable.write_atomically(file, Path(log.location).read_bytes())


def _task(samples: Sequence[Sample], recorded: Recorded) -> Task:
    tests = select(tuple(dict.fromkeys(sample.test for sample in samples)))
    return Task(
        name="suture",
        dataset=MemoryDataset(list(map(question_of, tests)), name="suture"),
        solver=_repeat(recorded),
        scorer=_recall(recorded),
    )


@solver
def _repeat(recorded: Recorded) -> Solver:
    """Give a sample's answers again."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:  # noqa: ARG001 -- the answers are there
        sample = _sample(recorded, state)
        outputs = [output_of(answer, state.model.name) for answer in sample.answers]
        model = get_model(str(state.model), custom_outputs=outputs, memoize=False)
        for request in sample.requests:
            messages = messages_of(request)
            config = GenerateConfig(temperature=request.temperature, max_tokens=request.max_tokens, seed=sample.seed)
            state.output = await model.generate(messages, tools_of(request), config=config)
            state.messages = [*messages, state.output.message]
        return state

    return solve


@scorer(metrics=METRICS, name="suture")
def _recall(recorded: Recorded) -> Scorer:
    """Give a sample's score again."""

    async def score(state: TaskState, target: Target) -> InspectScore:  # noqa: ARG001 -- it is judged already
        sample = _sample(recorded, state)
        seen = Transcript(sample.answers, Server(()), sample.requests, sample.executions, sample.checks)
        return verdict(sample.score, seen)

    return score


def _sample(recorded: Recorded, state: TaskState) -> Sample:
    return recorded[Place(str(state.sample_id), state.epoch - 1)]
