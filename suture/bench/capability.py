"""The step `benchmark`: a GGUF behind our own server answers the tests, and is timed."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import Field, JsonValue

from suture.bench.chat import Chat, connect
from suture.bench.lab import open_lab
from suture.bench.runner import Examine, run_suite
from suture.bench.samples import Sample, Samples
from suture.bench.speed import Speed, measure_speed
from suture.bench.suite import Test, select
from suture.errors import ProcessError, TransientError
from suture.gguf.server import serving
from suture.progress import Progress
from suture.recipe import Capability, Sampling
from suture.store import Artifact, Workspace

SHOTS = "screenshots"
"""Folder with the pictures of the pages that a model wrote."""


class BenchmarkSpec(Capability):
    """What to ask, and how."""

    tests: tuple[str, ...] = Field(min_length=1)
    """Ids of the tests."""


def benchmark(
    spec: BenchmarkSpec, parents: Sequence[Artifact], work: Workspace, progress: Progress
) -> Mapping[str, JsonValue]:
    """Serve a GGUF, ask it the tests, and time it; what a killed attempt asked is not asked again.

    Args:
        spec: What to ask.
        parents: The artifact with the GGUF, and the one with an adapter beside it where there is one.
        work: Receives samples.jsonl and server.log.
        progress: Gets the tests.

    Returns:
        passed, total, a row per test, the speeds, and whether the chat template knows tools.

    Raises:
        ProcessError: When the server crashes, and crashes again before one more answer.
        TransientError: When it is killed, or answers no more, likewise.
    """
    gguf, *lora = (parent.only(".gguf") for parent in parents)
    tests = select(spec.tests)
    samples = Samples(work.scratch, spec.model_dump(mode="json"))
    shots = work.scratch / SHOTS
    with open_lab(tests, shots) as examine:
        asked = Asked(tests, spec, examine)
        log = work.out / "server.log"
        facts = ask_gguf(gguf, asked, samples, log, progress, lora=lora[0] if lora else None)
    shutil.copyfile(samples.file, work.out / samples.file.name)
    if shots.exists():
        shutil.copytree(shots, work.out / SHOTS)
    return facts


class Asked:
    """What is asked of a model.

    Args:
        tests: The tests.
        sampling: How answers are drawn.
        examine: What to do with the answers before they are scored.
        concurrency: How many tests are asked at once.
    """

    def __init__(self, tests: Sequence[Test], sampling: Sampling, examine: Examine, *, concurrency: int = 1) -> None:
        self.tests = tuple(tests)
        self.sampling = sampling
        self.examine = examine
        self.concurrency = concurrency


def ask_gguf(
    gguf: Path, asked: Asked, samples: Samples, log: Path, progress: Progress, *, lora: Path | None = None
) -> dict[str, JsonValue]:
    """Serve a GGUF, and ask it; a server that dies is started again as long as it gets further than the last one.

    Args:
        gguf: The model.
        asked: What it is asked.
        samples: What was answered so far; receives the rest.
        log: File that receives what the server writes.
        progress: Gets the tests.
        lora: An adapter that is applied beside the model.

    Raises:
        ProcessError: When the server crashes, and gets no further.
        TransientError: When it is killed, or answers no more, and gets no further.
    """
    sampling = asked.sampling
    restarts = 0
    while True:
        before = len(samples.taken)
        context = sampling.context * asked.concurrency
        server = serving(gguf, context=context, slots=asked.concurrency, seed=sampling.seed, log=log, lora=lora)
        try:
            with server as endpoint:
                try:
                    return {**ask_url(endpoint.url, asked, samples, progress), "restarts": restarts}
                except TransientError:
                    endpoint.require_alive()  # a crash has more to say than a connection refused
                    raise
        except (TransientError, ProcessError) as error:
            if len(samples.taken) == before:
                raise
            progress.say(f"{error}\nStarting the server again.")
            restarts += 1


def ask_url(url: str, asked: Asked, samples: Samples, progress: Progress) -> dict[str, JsonValue]:
    """Ask an endpoint, time it, and return the facts."""

    async def ask() -> dict[str, JsonValue]:
        async with connect(url) as chat:
            return await measure(chat, asked, samples, progress)

    return asyncio.run(ask())


async def measure(chat: Chat, asked: Asked, samples: Samples, progress: Progress) -> dict[str, JsonValue]:
    """Ask any endpoint what was not asked yet, time it, return the facts."""
    total = len(asked.tests) * asked.sampling.repeats

    def take(sample: Sample) -> None:
        samples.take(sample)
        verdict = "passed" if sample.score.passed else f"{sample.score.error_class}: {sample.score.why}"
        progress.say(f"{sample.test}: {verdict}")
        progress.update(len(samples.taken), total, "tests")

    done = {sample.place for sample in samples.taken}
    await run_suite(chat, asked.tests, asked.sampling, asked.examine, take, done=done, concurrency=asked.concurrency)
    progress.say("measuring speed")
    speed = await measure_speed(chat)
    taken = samples.taken
    return {
        "passed": sum(sample.score.passed for sample in taken),
        "total": len(taken),
        "tests": test_facts(taken),
        "sandbox": ", ".join(sorted({run.backend for sample in taken for run in sample.executions if run.backend})),
        **_speed(speed),
        "template_has_tools": chat.server.template_has_tools,
    }


def _speed(speed: Speed | None) -> dict[str, JsonValue]:
    if speed is None:
        return {"tokens_per_second": None, "prompt_tokens_per_second": None, "time_to_first_token": None}
    prompt = speed.prompt_tokens_per_second
    return {
        "tokens_per_second": asdict(speed.tokens_per_second),
        "prompt_tokens_per_second": prompt.value if prompt else None,
        "time_to_first_token": asdict(speed.time_to_first_token),
    }


def test_facts(samples: Sequence[Sample]) -> list[JsonValue]:
    """Return a row per test: how often it was asked and passed, and why not."""
    return [
        _fact([sample for sample in samples if sample.test == test])
        for test in dict.fromkeys(sample.test for sample in samples)
    ]


def _fact(samples: Sequence[Sample]) -> dict[str, JsonValue]:
    failures = Counter(sample.score.error_class for sample in samples if not sample.score.passed)
    (commonest, _), *_ = failures.most_common(1) or [("", 0)]
    return {
        "id": samples[0].test,
        "category": samples[0].category,
        "passed": sum(sample.score.passed for sample in samples),
        "asked": len(samples),
        "error_class": commonest,
        "checks_passed": sum(check.outcome == "passed" for sample in samples for check in sample.checks),
        "checks_skipped": sum(check.outcome == "skipped" for sample in samples for check in sample.checks),
        "checks": sum(len(sample.checks) for sample in samples),
        "seconds": sum(sample.seconds for sample in samples),
    }
