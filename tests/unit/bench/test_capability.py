from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from suture.bench.capability import Asked, BenchmarkSpec, ask_url
from suture.bench.lab import run_programs
from suture.bench.samples import Samples
from suture.bench.suite import select
from suture.errors import TransientError
from suture.progress import Progress, Silent
from tests.unit.bench.conftest import LLAMA, running
from tests.unit.bench.scripted import Scripted, dies, says

TESTS = ("exact-instruction", "factual-answer", "clean-stop")
TIMINGS = {"prompt_per_second": 300.0, "predicted_per_second": 100.0}


def spec(**changes: object) -> BenchmarkSpec:
    return BenchmarkSpec.model_validate({"tests": TESTS, "max_tokens": 32, "seed": 4} | changes)


class Heard(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.updates: list[tuple[float, float, str]] = []
        self.lines: list[str] = []

    def update(self, done: float, total: float, unit: str) -> None:
        self.updates.append((done, total, unit))

    def say(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture
def knowing(llama: Scripted) -> Scripted:
    """An endpoint that answers two of the three tests."""
    llama.default = says("Mars", timings=TIMINGS)
    llama.script(_question("exact-instruction"), says("suture-suture", timings=TIMINGS))
    return llama


def _question(test: str) -> str:
    return next(select([test])[0].talk()).messages[-1].content


def asked(endpoint: Scripted, folder: Path, progress: Progress | None = None, **changes: object) -> Any:
    wanted = spec(**changes)
    asked = Asked(select(wanted.tests), wanted, run_programs)
    return ask_url(endpoint.url, asked, Samples(folder, wanted.model_dump(mode="json")), progress or Silent())


def test_facts_and_samples(knowing: Scripted, tmp_path: Path) -> None:
    heard = Heard()
    facts: Any = asked(knowing, tmp_path, heard)
    rows = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    tests = [(test["id"], test["passed"], test["asked"], test["error_class"]) for test in facts["tests"]]
    assert tests == [
        ("exact-instruction", 0, 1, "wrong_answer"),
        ("factual-answer", 1, 1, ""),
        ("clean-stop", 1, 1, ""),
    ]
    assert [test["seconds"] for test in facts["tests"]] == [row["answers"][0]["timing"]["seconds"] for row in rows]
    assert [(row["test"], row["category"], row["seed"]) for row in rows] == [(test, "basic", 4) for test in TESTS]
    assert rows[1]["requests"][0]["messages"][-1]["content"] == _question("factual-answer")
    assert rows[1]["answers"][0]["text"] == "Mars"
    assert rows[1]["score"] == {"passed": True, "error_class": "", "why": "names Mars"}
    assert (facts["passed"], facts["total"], facts["template_has_tools"]) == (2, 3, True)
    assert facts["tokens_per_second"] == {"value": 100.0, "error": 0.0}
    assert facts["prompt_tokens_per_second"] == 300.0
    assert facts["time_to_first_token"]["value"] > 0
    assert set(facts) == {
        "passed",
        "total",
        "tests",
        "sandbox",
        "tokens_per_second",
        "prompt_tokens_per_second",
        "time_to_first_token",
        "template_has_tools",
    }
    json.dumps(facts, allow_nan=False)
    assert heard.updates == [(1, 3, "tests"), (2, 3, "tests"), (3, 3, "tests")]
    assert heard.lines == [
        "exact-instruction: wrong_answer: expected 'suture-suture-suture'",
        "factual-answer: passed",
        "clean-stop: passed",
        "measuring speed",
    ]


def test_samples_are_in_the_file_before_the_next_is_asked(knowing: Scripted, tmp_path: Path) -> None:
    file = tmp_path / "samples.jsonl"

    class Reader(Silent):
        def update(self, done: float, total: float, unit: str) -> None:
            assert len(file.read_text().splitlines()) == done, (total, unit)

    asked(knowing, tmp_path, Reader())


def test_samples_outlast_a_server_that_dies(knowing: Scripted, tmp_path: Path) -> None:
    knowing.script(_question("clean-stop"), dies("A bic"))
    with pytest.raises(TransientError):
        asked(knowing, tmp_path)
    rows = (tmp_path / "samples.jsonl").read_text().splitlines()
    assert [json.loads(row)["test"] for row in rows] == ["exact-instruction", "factual-answer"]


def test_the_seed_reaches_the_endpoint(knowing: Scripted, tmp_path: Path) -> None:
    asked(knowing, tmp_path, seed=11)
    assert [body["seed"] for body in knowing.bodies[:3]] == [11, 11, 11]


@pytest.mark.parametrize(
    "changes", [{"tests": ()}, {"context": 128}, {"max_tokens": 8}, {"seed": -1}, {"k": 5}, {"repeats": 0}]
)
def test_the_spec_has_limits(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        spec(**changes)


def test_a_killed_run_goes_on_where_it_was(knowing: Scripted, tmp_path: Path) -> None:
    knowing.script(_question("clean-stop"), dies("A bic"))
    with pytest.raises(TransientError):
        asked(knowing, tmp_path)
    with running(LLAMA) as again:
        again.default = says("A bicycle has two wheels.", timings=TIMINGS)
        facts = asked(again, tmp_path)
        assert [body["messages"][-1]["content"] for body in again.bodies[:1]] == [_question("clean-stop")]
    assert facts["passed"] == 2
    assert facts["total"] == len((tmp_path / "samples.jsonl").read_text().splitlines()) == 3


def test_repeats_are_counted_by_test(knowing: Scripted, tmp_path: Path) -> None:
    facts = asked(knowing, tmp_path, repeats=3)
    assert [(test["passed"], test["asked"]) for test in facts["tests"]] == [(0, 3), (3, 3), (3, 3)]
    assert (facts["passed"], facts["total"]) == (6, 9)
