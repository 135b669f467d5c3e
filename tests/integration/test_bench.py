"""The benchmark's two steps with the real server, the real small model and the real perplexity tool."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from suture.bench.capability import BenchmarkSpec
from suture.bench.chat import Chat
from suture.bench.perplexity import PerplexitySpec, combine
from suture.bench.suite import Answer, select
from suture.corpus import pin_text, read_text
from suture.errors import ProcessError
from suture.gguf.metadata import tokenizer_digest
from suture.gguf.perplexity import Estimate, measure
from suture.gguf.reference import pin_reference
from suture.gguf.server import serving
from suture.gguf.toolchain import Toolchain
from suture.progress import Silent
from suture.recipe import Sampling, Text
from suture.steps import PlannedStep, build, build_all, plan_step
from suture.store import Artifact, Store
from tests.unit.bench.blocking import connected

pytestmark = pytest.mark.real_model

TEN = select(["basic", "reasoning"])
QUICK = ("factual-answer", "clean-stop", "deterministic", "finds-bug")


@pytest.fixture(scope="module")
def module_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store that holds the model as an artifact, for all tests of this module."""
    return Store(tmp_path_factory.mktemp("bench") / "store")


@pytest.fixture(scope="module")
def model(module_store: Store, smollm2_gguf: Path) -> PlannedStep:
    step = plan_step("reference smollm2", "reference", pin_reference(smollm2_gguf))
    build(step, module_store, Silent())
    return step


def asked(model: PlannedStep, tests: Sequence[str], toolchain: Toolchain, *, max_tokens: int = 48) -> PlannedStep:
    spec = BenchmarkSpec(tests=tuple(tests), context=2048, max_tokens=max_tokens)
    return plan_step("benchmark smollm2", "benchmark", spec, [model], tool=toolchain.version)


def samples(artifact: Artifact) -> list[dict[str, Any]]:
    return [json.loads(line) for line in artifact.only("samples.jsonl").read_text().splitlines()]


def transcripts(gguf: Path, tests: Sequence[str], log: Path) -> list[dict[str, Any]]:
    """Return the samples that a server of its own gives, without times."""
    with serving(gguf, context=2048, seed=0, log=log) as endpoint, connected(endpoint.url) as chat:
        return [sample.said for sample in chat.suite(select(tests), Sampling(max_tokens=48), [])]


def children() -> set[int]:
    """Return the ids of this process's children, dead ones that are not waited for included."""
    return {int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


# -- benchmark ------------------------------------------------------------------------------------------------


def test_ten_tests_and_the_speed(model: PlannedStep, module_store: Store, toolchain: Toolchain) -> None:
    before = children()
    artifact = build_all(asked(model, [test.id for test in TEN], toolchain), module_store, Silent()).artifact
    assert children() == before
    facts: Any = artifact.facts
    assert [test["id"] for test in facts["tests"]] == [test.id for test in TEN]
    assert facts["total"] == len(TEN)
    assert facts["passed"] == sum(test["passed"] for test in facts["tests"])
    # a model of 135 M parameters knows little, but its server works
    passed = {test["id"] for test in facts["tests"] if test["passed"]}
    assert {"server-health", "factual-answer", "clean-stop", "deterministic"} <= passed
    for speed in ("tokens_per_second", "time_to_first_token"):
        assert facts[speed]["value"] > 0
        assert facts[speed]["error"] >= 0
    assert facts["prompt_tokens_per_second"] > facts["tokens_per_second"]["value"]
    assert facts["template_has_tools"] is False
    assert {file.path for file in artifact.manifest.files} == {"samples.jsonl", "server.log"}
    assert len(samples(artifact)) == len(TEN)
    assert all(answer["timing"]["attempts"] == 1 for row in samples(artifact) for answer in row["answers"])


def test_the_same_seed_gives_the_same_transcripts_whatever_was_asked_before(
    smollm2_gguf: Path, tmp_path: Path
) -> None:
    first, second = (transcripts(smollm2_gguf, QUICK, tmp_path / f"{number}.log") for number in (1, 2))
    assert [row["test"] for row in first] == list(QUICK)
    assert second == first
    assert transcripts(smollm2_gguf, QUICK[-1:], tmp_path / "3.log") == first[-1:]


class Killer(Silent):
    """Sends a signal to the server after each of some tests."""

    def __init__(self, number: signal.Signals, after: Sequence[str] = QUICK[:1]) -> None:
        self.number = number
        self.after = after
        self.before = children()
        self.killed = 0

    def say(self, message: str) -> None:
        if message.partition(":")[0] in self.after:
            for victim in children() - self.before:
                os.kill(victim, self.number)
                self.killed += 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV], ids=["killed", "crashed"])
def test_a_server_that_dies_in_the_middle_is_started_again_and_no_test_is_asked_twice(
    number: signal.Signals, model: PlannedStep, module_store: Store, toolchain: Toolchain
) -> None:
    step, killer = asked(model, QUICK, toolchain, max_tokens=32 + number), Killer(number)
    facts: Any = build_all(step, module_store, killer).artifact.facts
    assert killer.killed == facts["restarts"] == 1
    assert children() == killer.before
    assert [test["id"] for test in facts["tests"]] == list(QUICK)
    assert [test["asked"] for test in facts["tests"]] == [1] * len(QUICK)


def test_a_server_that_dies_of_each_start_is_reported_and_nothing_is_left(
    model: PlannedStep, module_store: Store, toolchain: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = Chat.ask

    async def kill_and_ask(*arguments: Any, **more: Any) -> Answer:
        for victim in children() - before:
            os.kill(victim, signal.SIGSEGV)
        return await ask(*arguments, **more)

    before = children()
    monkeypatch.setattr(Chat, "ask", kill_and_ask)
    step = asked(model, QUICK, toolchain, max_tokens=33)
    with pytest.raises(ProcessError, match="answering"):
        build_all(step, module_store, Silent())
    assert children() == before
    assert not module_store.has(step.key)


def test_a_server_that_stands_still_is_started_again(
    model: PlannedStep, module_store: Store, toolchain: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suture.bench.chat._SILENCE_SECONDS", 3.0)
    monkeypatch.setattr("suture.bench.chat._QUICK_SECONDS", 3.0)
    step, killer = asked(model, QUICK, toolchain, max_tokens=34), Killer(signal.SIGSTOP)
    facts: Any = build_all(step, module_store, killer).artifact.facts
    assert killer.killed == facts["restarts"] == 1
    assert children() == killer.before


# -- perplexity -----------------------------------------------------------------------------------------------


@pytest.fixture
def story(tmp_path: Path) -> Text:
    """A text of a user, long enough for a few chunks."""
    paragraph = "The {0} ship of the {0} fleet left the harbour on day {0}, and its {0} sailors sang. "
    path = tmp_path / "story.txt"
    path.write_text("\n\n".join(paragraph.format(number) * 6 for number in range(200)))
    return Text(text=str(path))


def test_perplexity_over_several_texts(
    story: Text, model: PlannedStep, module_store: Store, toolchain: Toolchain, tmp_path: Path
) -> None:
    texts = tuple(pin_text(text, "heldout") for text in (story, Text(text="builtin:code")))
    spec = PerplexitySpec(texts=texts, chunks=3, context=64)
    step = plan_step("perplexity smollm2", "perplexity", spec, [model], tool=toolchain.version)
    artifact = build_all(step, module_store, Silent()).artifact
    facts: Any = artifact.facts

    assert json.loads(artifact.only("perplexity.json").read_text()) == facts
    assert {file.path for file in artifact.manifest.files} == {
        "perplexity.json",
        "story.txt.log",
        "builtin-code.log",
    }
    assert set(facts["texts"]) == {"story.txt", "builtin:code"}
    estimates = {name: Estimate(**{**row, "chunks": tuple(row["chunks"])}) for name, row in facts["texts"].items()}
    assert all(len(estimate.chunks) == 3 for estimate in estimates.values())
    assert facts["tokenizer"] == tokenizer_digest(module_store.load(model.key).only(".gguf"))
    assert Estimate(facts["value"], facts["error"], facts["tokens"]) == combine(list(estimates.values()))
    assert estimates["story.txt"].value < estimates["builtin:code"].value  # it repeats itself

    # the tool on the whole text, of which the step gave it the beginning
    whole = tmp_path / "whole.txt"
    whole.write_text("\n\n".join(read_text(texts[0])))
    gguf = module_store.load(model.key).only(".gguf")
    plain = measure(gguf, whole, chunks=3, context=64, log=tmp_path / "plain.log", progress=Silent())
    assert estimates["story.txt"] == plain


def test_select_names_what_the_step_runs(model: PlannedStep, toolchain: Toolchain) -> None:
    quick = asked(model, [test.id for test in select(["reasoning"])], toolchain)
    assert quick.key == asked(model, [test.id for test in TEN if test.category == "reasoning"], toolchain).key
