"""A model as the command line names it: a GGUF file, which is served for the time, or the URL of an endpoint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import JsonValue

from suture.bench.capability import SHOTS, Asked, BenchmarkSpec, ask_gguf, ask_url
from suture.bench.lab import open_lab
from suture.bench.samples import Samples
from suture.bench.suite import select
from suture.errors import InputError
from suture.progress import Progress

_URL = re.compile(r"https?://", re.IGNORECASE)


def ask_target(
    target: str, spec: BenchmarkSpec, folder: Path, concurrency: int, progress: Progress
) -> dict[str, JsonValue]:
    """Ask a model the tests; what an earlier run into the same folder asked is not asked again.

    Args:
        target: A GGUF file or a URL.
        spec: What to ask.
        folder: Receives samples.jsonl, run.json, screenshots, and the server's log.
        concurrency: How many tests are asked at once.
        progress: Gets the tests.

    Returns:
        The facts, as the step `benchmark` gives them.

    Raises:
        InputError: When the target is no file, or the folder holds another run.
        TransientError: When the endpoint does not answer, or no more.
        ProcessError: When our own server crashes again and again.
    """
    is_url = _URL.match(target) is not None
    if not is_url and not Path(target).is_file():
        raise InputError(
            "There is no such file.", where=target, expected="a GGUF file, or a URL that begins with http://"
        )
    tests = select(spec.tests)
    model = target if is_url else str(Path(target).resolve())
    samples = Samples(folder, {"model": model, **spec.model_dump(mode="json")})
    with open_lab(tests, folder / SHOTS) as examine:
        asked = Asked(tests, spec, examine, concurrency=concurrency)
        if is_url:
            return ask_url(target, asked, samples, progress)
        return ask_gguf(Path(target), asked, samples, folder / "server.log", progress)


def folder_of(target: str, suites: Sequence[str]) -> Path:
    """Return where a run's samples go if the user names no folder: `bench/<model>-<suites>` in the working folder."""
    name = _URL.sub("", target).strip("/") if _URL.match(target) else Path(target).stem
    return Path("bench") / re.sub(r"[^\w.-]+", "-", f"{name}-{'-'.join(suites)}")
