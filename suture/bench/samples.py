"""What came of asking a test once; kept as one line of JSON each, so that a killed run goes on where it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, Self

from pydantic import JsonValue, TypeAdapter, ValidationError

from suture.bench.sandbox import Execution
from suture.bench.suite import Answer, Request, Score, Test, Transcript
from suture.bench.suite.form import Category, CheckResult
from suture.errors import InputError


class Place(NamedTuple):
    """Which sample of a run."""

    test: str
    repeat: int


@dataclass(frozen=True)
class Sample:
    """One test, asked once.

    Attributes:
        test: Its id.
        category: The group it is counted in.
        repeat: Which time it was asked, from 0.
        seed: Seed of the sampling.
        requests: What was asked.
        answers: What came back, with how long it took.
        executions: What came of running what the model wrote.
        checks: What the checks of a page found.
        score: The verdict.
    """

    test: str
    category: Category
    repeat: int
    seed: int
    requests: tuple[Request, ...]
    answers: tuple[Answer, ...]
    executions: tuple[Execution, ...]
    checks: tuple[CheckResult, ...]
    score: Score

    @classmethod
    def of(cls, test: Test, repeat: int, seed: int, transcript: Transcript, score: Score) -> Self:
        """Return the sample of a scored transcript."""
        return cls(
            test.id,
            test.category,
            repeat,
            seed,
            transcript.requests,
            transcript.answers,
            transcript.executions,
            transcript.checks,
            score,
        )

    @property
    def place(self) -> Place:
        """Which sample of the run it is."""
        return Place(self.test, self.repeat)

    @property
    def seconds(self) -> float:
        """Wall time of all its answers."""
        return sum(answer.timing.seconds for answer in self.answers)

    @property
    def said(self) -> dict[str, object]:
        """All of it in which no clock had a part: two runs of the same seed are equal in this."""
        answers = [{**asdict(answer), "timing": None} for answer in self.answers]
        executions = [{**asdict(execution), "seconds": None} for execution in self.executions]
        return {**asdict(self), "answers": answers, "executions": executions}


_SAMPLE = TypeAdapter(Sample)


class Samples:
    """A run's samples in a file, one line of JSON each, and what was asked of the run in another.

    Args:
        folder: Holds `samples.jsonl` and `run.json`; made when missing.
        asked: All that the answers depend on. A folder of another run is not gone on with.

    Raises:
        InputError: When the folder holds another run, or lines that are no samples.
    """

    def __init__(self, folder: Path, asked: Mapping[str, JsonValue]) -> None:
        self.file = folder / "samples.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        _claim(folder / "run.json", asked)
        self._taken = _read(self.file)

    @classmethod
    def read(cls, folder: Path) -> tuple[Sample, ...]:
        """Return the samples of a finished run."""
        return tuple(_read(folder / "samples.jsonl"))

    @property
    def taken(self) -> tuple[Sample, ...]:
        """All samples so far."""
        return tuple(self._taken)

    def take(self, sample: Sample) -> None:
        """Keep a sample, on disk first."""
        with self.file.open("ab") as lines:
            lines.write(_SAMPLE.dump_json(sample) + b"\n")
        self._taken.append(sample)


_ASKED = TypeAdapter(dict[str, JsonValue])


def _claim(file: Path, asked: Mapping[str, JsonValue]) -> None:
    if not file.exists():
        file.write_bytes(_ASKED.dump_json(dict(asked), indent=1) + b"\n")
        return
    before = _ASKED.validate_json(file.read_bytes())
    other = sorted(key for key in before.keys() | asked.keys() if before.get(key) != asked.get(key))
    if other:
        raise InputError(
            "This folder holds another run.",
            where=file,
            expected=", ".join(f"{key} {asked.get(key)}" for key in other),
            found=", ".join(f"{key} {before.get(key)}" for key in other),
            way_out="Ask the same, to go on with it; or name another folder.",
        )


def _read(file: Path) -> list[Sample]:
    """Return the samples in a file; a last line that a kill cut off is cut off there, too."""
    if not file.exists():
        return []
    content = file.read_bytes()
    whole, _, rest = content.rpartition(b"\n")
    if rest:
        with file.open("r+b") as lines:
            lines.truncate(len(content) - len(rest))
    try:
        return [_SAMPLE.validate_json(line) for line in whole.splitlines()]
    except ValidationError as error:
        raise InputError(
            "A line of this file is no sample.",
            where=file,
            found=str(error.errors()[0]["msg"]),
            way_out="It may be of another version of Suture: name another folder.",
        ) from error
