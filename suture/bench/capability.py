"""The step `benchmark`: a GGUF behind our own server answers the tests, and is timed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pydantic import Field, JsonValue

from suture.bench.chat import Chat, connect
from suture.bench.runner import Sample, run_suite
from suture.bench.speed import measure_speed
from suture.bench.suite import select
from suture.errors import TransientError
from suture.gguf.server import serving
from suture.progress import Progress
from suture.recipe import Part
from suture.store import Artifact, Workspace


class BenchmarkSpec(Part):
    """What to ask, and how."""

    tests: tuple[str, ...] = Field(min_length=1)
    """Ids of the tests."""

    context: int = Field(ge=256)
    """Tokens of context the server is started with."""

    max_tokens: int = Field(ge=16)
    """Longest answer."""

    seed: int = Field(ge=0)
    """Seed of the sampling."""


def benchmark(
    spec: BenchmarkSpec, parents: Sequence[Artifact], work: Workspace, progress: Progress
) -> Mapping[str, JsonValue]:
    """Serve a GGUF, ask it the tests, and time it.

    Args:
        spec: What to ask.
        parents: The artifact with the GGUF.
        work: Receives samples.jsonl and server.log.
        progress: Gets the tests.

    Returns:
        passed, total, a row per test, the speeds, and whether the chat template knows tools.

    Raises:
        ProcessError: When the server crashes.
        TransientError: When it is killed, or answers no more.
    """
    (gguf,) = parents
    server = serving(gguf.only(".gguf"), context=spec.context, seed=spec.seed, log=work.out / "server.log")
    with server as endpoint, connect(endpoint.url) as chat:
        try:
            return measure(chat, spec, work.out / "samples.jsonl", progress)
        except TransientError:
            endpoint.require_alive()  # a crash has more to say than a connection refused
            raise


def measure(chat: Chat, spec: BenchmarkSpec, file: Path, progress: Progress) -> dict[str, JsonValue]:
    """Ask any endpoint the tests, write each sample to `file` (JSON lines), time the endpoint, return the facts."""
    tests = select(spec.tests)
    samples = run_suite(chat, tests, max_tokens=spec.max_tokens, seed=spec.seed)
    asked = list(_watched(_written(samples, file), len(tests), progress))
    progress.say("measuring speed")
    speed = measure_speed(chat)
    return {
        "passed": sum(sample.score.passed for sample in asked),
        "total": len(asked),
        "tests": [_fact(sample) for sample in asked],
        "tokens_per_second": asdict(speed.tokens_per_second),
        "prompt_tokens_per_second": speed.prompt_tokens_per_second and speed.prompt_tokens_per_second.value,
        "time_to_first_token": asdict(speed.time_to_first_token),
        "template_has_tools": chat.server.template_has_tools,
    }


def _watched(samples: Iterable[Sample], total: int, progress: Progress) -> Iterator[Sample]:
    for done, sample in enumerate(samples, start=1):
        verdict = "passed" if sample.score.passed else f"{sample.score.error_class}: {sample.score.why}"
        progress.say(f"{sample.test.id}: {verdict}")
        progress.update(done, total, "tests")
        yield sample


def _written(samples: Iterable[Sample], file: Path) -> Iterator[Sample]:
    """Pass samples on, each once its line is in the file: a killed run leaves what it had."""
    with file.open("a", encoding="utf-8") as lines:
        for sample in samples:
            lines.write(json.dumps(sample.row(), ensure_ascii=False) + "\n")
            lines.flush()
            yield sample


def _fact(sample: Sample) -> dict[str, JsonValue]:
    return {
        "id": sample.test.id,
        "category": sample.test.category,
        "passed": sample.score.passed,
        "error_class": sample.score.error_class,
        "seconds": sample.seconds,
    }
