from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from suture.bench.capability import BenchmarkSpec, measure
from suture.bench.chat import connect
from suture.bench.suite import select
from suture.errors import RecipeError, TransientError
from suture.progress import Silent
from tests.unit.bench.scripted import Scripted, dies, says

TESTS = ("exact-instruction", "factual-answer", "clean-stop")
TIMINGS = {"prompt_per_second": 300.0, "predicted_per_second": 100.0}


def spec(**changes: object) -> BenchmarkSpec:
    return BenchmarkSpec.model_validate({"tests": TESTS, "context": 512, "max_tokens": 32, "seed": 4} | changes)


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


def test_facts_and_samples(knowing: Scripted, tmp_path: Path) -> None:
    heard = Heard()
    with connect(knowing.url) as chat:
        facts: Any = measure(chat, spec(), tmp_path / "samples.jsonl", heard)
    rows = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    tests = [{key: test[key] for key in ("id", "category", "passed", "error_class")} for test in facts["tests"]]
    assert tests == [
        {"id": "exact-instruction", "category": "basic", "passed": False, "error_class": "wrong_answer"},
        {"id": "factual-answer", "category": "basic", "passed": True, "error_class": ""},
        {"id": "clean-stop", "category": "basic", "passed": True, "error_class": ""},
    ]
    assert [test["seconds"] for test in facts["tests"]] == [row["timings"][0]["seconds"] for row in rows]
    assert [row["test"] for row in rows] == list(TESTS)
    assert {(row["seed"], row["max_tokens"]) for row in rows} == {(4, 32)}
    assert (facts["passed"], facts["total"], facts["template_has_tools"]) == (2, 3, True)
    assert facts["tokens_per_second"] == {"value": 100.0, "error": 0.0}
    assert facts["prompt_tokens_per_second"] == 300.0
    assert facts["time_to_first_token"]["value"] > 0
    assert set(facts) == {
        "passed",
        "total",
        "tests",
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

    with connect(knowing.url) as chat:
        measure(chat, spec(), file, Reader())


def test_samples_outlast_a_server_that_dies(knowing: Scripted, tmp_path: Path) -> None:
    knowing.script(_question("clean-stop"), dies("A bic"))
    with connect(knowing.url) as chat, pytest.raises(TransientError):
        measure(chat, spec(), tmp_path / "samples.jsonl", Silent())
    rows = (tmp_path / "samples.jsonl").read_text().splitlines()
    assert [json.loads(row)["test"] for row in rows] == ["exact-instruction", "factual-answer"]


def test_the_seed_reaches_the_endpoint(knowing: Scripted, tmp_path: Path) -> None:
    with connect(knowing.url) as chat:
        measure(chat, spec(seed=11), tmp_path / "samples.jsonl", Silent())
    assert [body["seed"] for body in knowing.bodies[:3]] == [11, 11, 11]


def test_an_unknown_test_is_refused_before_anything_is_asked(knowing: Scripted, tmp_path: Path) -> None:
    with connect(knowing.url) as chat, pytest.raises(RecipeError, match="juggling"):
        measure(chat, spec(tests=("juggling",)), tmp_path / "samples.jsonl", Silent())
    assert knowing.bodies == []


@pytest.mark.parametrize("changes", [{"tests": ()}, {"context": 128}, {"max_tokens": 8}, {"seed": -1}, {"k": 5}])
def test_the_spec_has_limits(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        spec(**changes)
