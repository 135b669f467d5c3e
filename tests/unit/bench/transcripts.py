"""Transcripts as the runner would make them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from suture.bench.lab import run_programs
from suture.bench.runner import converse
from suture.bench.suite import MULTI_TURN, SUITE, Answer, Request, Score, Server, Test, Transcript, flaw, grade
from tests.unit.bench.machine import require_run

HEALTHY = Server(models=("scripted",), healthy=True, template_has_tools=True)


def score(test: str, *texts: str, finish: str = "stop", thinking: str = "", server: Server = HEALTHY) -> Score:
    """Return the score of the test with this id had the model said this."""
    answers = [Answer(text, thinking=thinking, finish=finish) for text in texts]
    return score_answers(found(test), answers, server)


def found(test: str) -> Test:
    """Return the test with this id."""
    (only,) = [each for each in (*SUITE, *MULTI_TURN) if each.id == test]
    return only


def score_answers(test: Test, answers: Sequence[Answer | str], server: Server = HEALTHY) -> Score:
    """Return the score of a test answered so."""
    return grade(test, lead(test, answers, server))


def lead(test: Test, answers: Sequence[Answer | str], server: Server = HEALTHY) -> Transcript:
    """Lead the test's conversation with these answers (the last one again, should it ask for more).

    What the model wrote is run in the sandbox, as the runner does it.
    """
    rest = [Answer(answer) if isinstance(answer, str) else answer for answer in answers]

    async def ask(_request: Request) -> Answer:
        return rest.pop(0) if len(rest) > 1 else rest[0]

    requests, given = asyncio.run(converse(test.talk(), ask))
    seen = Transcript(given, server, requests)
    if flaw(seen) is not None:
        return seen
    seen = run_programs(test, seen)
    require_run(seen.executions)
    return seen
