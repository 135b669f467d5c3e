"""Judges a conversation that inspect_ai led: our sandbox, our browser, our scorers."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from inspect_ai.scorer import Score as InspectScore
from inspect_ai.scorer import Scorer, Target, accuracy, grouped, scorer, stderr
from inspect_ai.solver import TaskState
from pydantic import TypeAdapter

from suture.bench.lab import open_lab
from suture.bench.runner import converse
from suture.bench.suite import Answer, Request, Score, Server, Test, Transcript, flaw, grade, select

METRICS = [accuracy(), stderr(cluster="test"), grouped(accuracy(), "category", all=False)]
"""Of the tests' rates: inspect_ai takes the mean of a test's epochs first, so a test counts once."""

_ANSWERS = TypeAdapter(tuple[Answer, ...])
_SERVER = TypeAdapter(Server)


def keep(state: TaskState, answers: Sequence[Answer], server: Server) -> None:
    """Keep what the judge needs."""
    state.store.set("answers", _ANSWERS.dump_python(tuple(answers), mode="json"))
    state.store.set("server", _SERVER.dump_python(server, mode="json"))


@scorer(metrics=METRICS, name="suture")
def judge() -> Scorer:
    """Run or open what the model wrote, and score it."""

    async def score(state: TaskState, target: Target) -> InspectScore:  # noqa: ARG001 -- the test knows what is right
        (test,) = select((state.metadata["test"],))
        answers = _ANSWERS.validate_python(state.store.get("answers"))
        server = _SERVER.validate_python(state.store.get("server"))
        transcript = Transcript(answers, server, await _requests(test, answers))
        if answers and flaw(transcript) is None:
            transcript = await asyncio.to_thread(_try_out, test, transcript)
        return verdict(grade(test, transcript), transcript)

    return score


async def _requests(test: Test, answers: Sequence[Answer]) -> tuple[Request, ...]:
    """Return what led to these answers: the same answers lead to the same questions."""
    rest = iter(answers)

    async def again(_request: Request) -> Answer:
        return next(rest)

    return (await converse(test.talk(), again))[0] if answers else ()


def _try_out(test: Test, transcript: Transcript) -> Transcript:
    with tempfile.TemporaryDirectory() as shots, open_lab((test,), Path(shots)) as examine:
        return examine(test, transcript)


def verdict(score: Score, transcript: Transcript) -> InspectScore:
    """Return a score as inspect_ai has it: 1 or 0, and why."""
    return InspectScore(
        value=int(score.passed),
        answer=transcript.text if transcript.answers else None,
        explanation=f"{score.error_class}: {score.why}" if score.error_class else score.why,
        metadata={
            "error_class": score.error_class,
            "executions": [f"{run.outcome} {run.backend}".strip() for run in transcript.executions],
            "checks": {check.id: f"{check.outcome}: {check.why}" for check in transcript.checks},
        },
    )
