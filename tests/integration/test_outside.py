"""inspect_ai and lm-evaluation-harness themselves, with the real small model and with recorded answers."""
# ruff: noqa: E402 -- their packages are imported where they are installed

from __future__ import annotations

import asyncio
import gc
import importlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from suture.bench.capability import BenchmarkSpec
from suture.bench.chat import connect
from suture.bench.lab import run_programs
from suture.bench.runner import run_suite
from suture.bench.samples import Sample, Samples
from suture.bench.suite import Answer, Test, Timing, ToolCall, grade, select
from suture.bench.suite.calls import arguments_of
from suture.errors import InputError
from suture.gguf.server import Endpoint, serving
from tests.unit.bench.conftest import PLAIN, running
from tests.unit.bench.scripted import refuses
from tests.unit.bench.transcripts import found, lead

MISSING = [name for name in ("inspect_ai", "openai", "lm_eval") if importlib.util.find_spec(name) is None]
if MISSING:
    pytest.skip("optional: needs suture[outside], half a gigabyte of packages", allow_module_level=True)

from inspect_ai import eval as run_task
from inspect_ai.log import EvalLog, read_eval_log
from inspect_ai.model import ChatMessage, GenerateConfig, ModelOutput, get_model
from inspect_ai.tool import ToolInfo
from lm_eval.tasks import TaskManager

from suture.bench.outside.inspect_log import write_inspect_log
from suture.bench.outside.inspect_messages import answer_of, messages_of, output_of, tools_of
from suture.bench.outside.inspect_tasks import capability
from suture.bench.outside.lm_eval import Asked, evaluate

pytestmark = pytest.mark.filterwarnings("ignore")  # their packages use what other packages deprecate

TASKS = Path(__file__).parents[2] / "suture/bench/outside/inspect_tasks.py"
MAX_TOKENS = 24
QUICK = ("server-health", "factual-answer", "deterministic", "tool-one-call")


@pytest.fixture(autouse=True)
def collected() -> Generator[None]:
    """Let go of the streams that inspect_ai leaves open while that is no error."""
    yield
    gc.collect()


def scores(log: EvalLog) -> dict[tuple[str, int], Any]:
    """Return each sample's score by test and repeat."""
    assert log.status == "success", log.error
    found = {(str(sample.id), sample.epoch - 1): (sample.scores or {})["suture"] for sample in log.samples or ()}
    assert len(found) == len(log.samples or ())
    return found


def rates(log: EvalLog) -> dict[str, float]:
    assert log.results is not None
    return {name: metric.value for score in log.results.scores for name, metric in score.metrics.items()}


def assert_same(log: EvalLog, samples: tuple[Sample, ...]) -> None:
    """Check that a log tells of the same answers and verdicts as our own samples."""
    theirs = scores(log)
    assert set(theirs) == {sample.place for sample in samples}
    for sample in samples:
        score = theirs[sample.place]
        assert bool(score.value) == sample.score.passed
        assert score.metadata["error_class"] == sample.score.error_class
        assert score.explanation.endswith(sample.score.why)
        assert score.answer == (sample.answers[-1].visible if sample.answers else None)


# -- the real small model -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(smollm2_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Endpoint]:
    with serving(smollm2_gguf, context=2048, seed=0, log=tmp_path_factory.mktemp("outside") / "log") as endpoint:
        yield endpoint


def ask(url: str, folder: Path) -> tuple[Sample, ...]:
    """Ask with our own runner."""
    samples = Samples(folder, {})
    spec = BenchmarkSpec(tests=QUICK, context=2048, max_tokens=MAX_TOKENS)

    async def ask_all() -> None:
        async with connect(url) as chat:
            await run_suite(chat, select(QUICK), spec, run_programs, samples.take)

    asyncio.run(ask_all())
    return samples.taken


@pytest.mark.real_model
def test_inspect_and_our_runner_hear_the_same_and_judge_the_same(server: Endpoint, tmp_path: Path) -> None:
    samples = ask(server.url, tmp_path / "ours")
    assert {sample.score.passed for sample in samples} == {True, False}
    command = [
        Path(sys.executable).parent / "inspect",
        *("eval", f"{TASKS}@capability", "--model", "openai-api/llama/any", "-T", f"only={','.join(QUICK)}"),
        *("--max-tokens", str(MAX_TOKENS), "--display", "plain", "--log-dir", tmp_path / "logs"),
    ]
    environment = {**os.environ, "LLAMA_BASE_URL": f"{server.url}/v1", "LLAMA_API_KEY": "none"}
    subprocess.run(command, env=environment, check=True, cwd=tmp_path, stdout=subprocess.PIPE)
    (file,) = (tmp_path / "logs").glob("*.eval")
    log = read_eval_log(str(file))
    assert_same(log, samples)
    assert rates(log)["accuracy"] == sum(sample.score.passed for sample in samples) / len(samples)

    write_inspect_log(tmp_path / "ours", tmp_path / "ours.eval", "smollm2")
    converted = read_eval_log(str(tmp_path / "ours.eval"))
    assert_same(converted, samples)
    assert rates(converted) == rates(log)
    assert converted.eval.model == "mockllm/smollm2"


TASK = """
task: tiny_{name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: {kind}
doc_to_text: "One plus one is two, {{{{a}}}} plus {{{{b}}}} is"
{more}
"""
GENERATES = """
doc_to_target: "{{sum}}"
generation_kwargs: {until: ["???"], max_gen_toks: 8, do_sample: false, temperature: 0}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
CHOOSES = """
doc_to_target: 0
doc_to_choice: ["3", "9"]
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""


@pytest.fixture
def own_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    # its own 13 000 files of tasks take it 10 s to read
    monkeypatch.setattr("lm_eval.tasks.TaskManager", partial(TaskManager, include_defaults=False))
    folder = tmp_path / "tasks"
    folder.mkdir()
    file = folder / "sums.jsonl"
    file.write_text('{"a": 1, "b": 2, "sum": "3"}\n{"a": 4, "b": 5, "sum": "9"}\n')
    for name, kind, more in (("sums", "generate_until", GENERATES), ("choice", "multiple_choice", CHOOSES)):
        (folder / f"{name}.yaml").write_text(TASK.format(name=name, kind=kind, file=file, more=more))
    return folder


@pytest.mark.real_model
@pytest.mark.parametrize("plain", [False, True], ids=["chat", "plain"])
def test_the_harness_asks_our_server(plain: bool, server: Endpoint, own_tasks: Path) -> None:
    results = evaluate(server.url, Asked(("tiny_sums",), include=own_tasks, plain=plain, limit=1))
    (sample,) = results["samples"]["tiny_sums"]
    assert "1 plus 2" in str(sample["arguments"])
    assert ("user" in str(sample["arguments"])) != plain
    assert sample["resps"][0][0].strip()
    assert results["results"]["tiny_sums"]["exact_match,none"] in (0.0, 1.0)


def test_tasks_that_need_the_prompts_probabilities_are_refused(own_tasks: Path) -> None:
    with pytest.raises(InputError, match=r"multiple_choice") as refusal:
        evaluate("http://127.0.0.1:9", Asked(("tiny_sums", "tiny_choice"), include=own_tasks))
    assert refusal.value.where == "tiny_choice"


# -- recorded answers -----------------------------------------------------------------------------------------

CATEGORIES = ("reasoning", "tools", "agentic", "programming")


def recorded(kind: str) -> dict[Test, tuple[Answer | str, ...]]:
    """Return `PERFECT` or `ADVERSARY` answers to some tests."""
    modules = [importlib.import_module(f"tests.unit.bench.answers.{name}") for name in CATEGORIES]
    return {found(test): said for module in modules for test, said in getattr(module, kind).items()}


class Player:
    """A model that knows the answers."""

    def __init__(self, answers: dict[Test, tuple[Answer | str, ...]]) -> None:
        self.answers = {next(test.talk()).messages[-1].content: list(said) for test, said in answers.items()}
        self.configs: list[GenerateConfig] = []

    def __call__(
        self, messages: list[ChatMessage], _tools: list[ToolInfo], _choice: Any, config: GenerateConfig
    ) -> Any:
        self.configs.append(config)
        rest = next(self.answers[m.text] for m in messages if m.role == "user" and m.text in self.answers)
        said = rest.pop(0) if len(rest) > 1 else rest[0]
        return output_of(said if isinstance(said, Answer) else Answer(said), "mockllm")


@pytest.mark.parametrize(("kind", "rate"), [("PERFECT", 1.0), ("ADVERSARY", 0.0)])
def test_inspect_leads_whole_conversations_and_judges_them(kind: str, rate: float, tmp_path: Path) -> None:
    answers = recorded(kind)
    player = Player(answers)
    (log,) = run_task(
        capability(only=CATEGORIES, seed=7),
        model=get_model("mockllm/model", custom_outputs=player, memoize=False),
        display="none",
        log_dir=str(tmp_path),
    )
    verdicts = scores(read_eval_log(log.location))
    assert set(verdicts) == {(test.id, 0) for test in answers}
    assert {test: score.explanation for (test, _), score in verdicts.items() if score.value != rate} == {}
    assert rates(log) == {"accuracy": rate, "stderr": 0.0, **dict.fromkeys(CATEGORIES, rate)}
    assert {(config.seed, config.temperature) for config in player.configs} == {(7, 0.0)}


def test_a_request_that_the_server_refuses_is_scored_as_such(tmp_path: Path) -> None:
    with running(PLAIN) as scripted:
        scripted.default = refuses(400)
        (log,) = run_task(
            capability(only="factual-answer", k=2),
            model=get_model("openai-api/scripted/any", base_url=f"{scripted.url}/v1", api_key="none", memoize=False),
            display="none",
            log_dir=str(tmp_path),
        )
        assert [body["seed"] for body in scripted.bodies] == [0, 1]
    for score in scores(log).values():
        assert score.value == 0
        assert score.metadata["error_class"] == "server_error"
        assert "scripted 400" in score.explanation


def write_samples(folder: Path, *places: tuple[str, int]) -> tuple[Sample, ...]:
    samples = Samples(folder, {})
    for test, repeat in places:
        transcript = lead(found(test), [*recorded("ADVERSARY" if repeat else "PERFECT")[found(test)]])
        samples.take(Sample.of(found(test), repeat, repeat, transcript, grade(found(test), transcript)))
    return samples.taken


def test_a_run_of_several_repeats_as_a_log(tmp_path: Path) -> None:
    places = [(test, repeat) for test in ("agent-fix", "quicksort") for repeat in range(2)]
    samples = write_samples(tmp_path, *places)
    write_inspect_log(tmp_path, tmp_path / "new/run.eval", "some model")
    log = read_eval_log(str(tmp_path / "new/run.eval"))
    assert_same(log, samples)
    assert rates(log) == {"accuracy": 0.5, "stderr": 0.0, "agentic": 0.5, "programming": 0.5}
    for sample in log.samples or ():
        (ours,) = [each for each in samples if each.place == (sample.id, sample.epoch - 1)]
        assert sum(event.event == "model" for event in sample.events) == len(ours.requests)
        assert len(sample.messages) == len(ours.requests[-1].messages) + 1


def test_half_a_run_is_not_made_a_log(tmp_path: Path) -> None:
    write_samples(tmp_path, ("agent-fix", 0), ("quicksort", 0), ("quicksort", 1))
    with pytest.raises(InputError, match=r"not complete"):
        write_inspect_log(tmp_path, tmp_path / "run.eval", "m")
    with pytest.raises(InputError, match=r"no samples"):
        write_inspect_log(tmp_path / "nowhere", tmp_path / "run.eval", "m")
    assert not (tmp_path / "run.eval").exists()


def test_translation_there_and_back_loses_nothing() -> None:
    for test, said in recorded("PERFECT").items():
        transcript = lead(test, said)
        for answer in transcript.answers:
            back = answer_of(output_of(answer, "m"))
            assert (back.text, back.tool_calls, back.finish) == (answer.text, answer.tool_calls, answer.finish)
        for request in transcript.requests:
            assert [spoken(message) for message in messages_of(request)] == [
                (message.role, message.content, [(c.id, c.name, json.loads(c.arguments)) for c in message.tool_calls])
                for message in request.messages
            ]
            sent = [tool.model_dump(exclude_none=True) for tool in tools_of(request)]
            assert [(tool["name"], tool["description"], tool["parameters"]) for tool in sent] == [
                (tool.name, tool.description, dict(tool.parameters)) for tool in request.tools
            ]


def spoken(message: ChatMessage) -> tuple[str, str, list[tuple[str, str, dict[str, Any]]]]:
    calls = message.tool_calls or [] if message.role == "assistant" else []
    return message.role, message.text, [(call.id, call.function, call.arguments) for call in calls]


@pytest.mark.parametrize(
    "answer",
    [
        Answer("It is 4.", thinking="2 and 2 ...", timing=Timing(seconds=1.0, prompt_tokens=7, tokens=9)),
        Answer("It is", finish="length", timing=Timing(seconds=2.5, prompt_tokens=7, tokens=2)),
        Answer("", timing=Timing(seconds=2.5, prompt_tokens=7, tokens=1)),
    ],
    ids=["thinking", "cut off", "empty"],
)
def test_other_answers_there_and_back(answer: Answer) -> None:
    assert answer_of(output_of(answer, "m")) == answer


def test_what_the_server_did_not_answer_is_no_answer() -> None:
    failed = answer_of(output_of(Answer("It", failure="timeout", detail="after 9 s"), "m"))
    assert (failed.failure, failed.detail) == ("server_error", "timeout: after 9 s")
    too_long = answer_of(ModelOutput.from_content("m", "exceeds the context", stop_reason="model_length"))
    assert too_long.failure == "server_error"


def test_arguments_that_are_no_json_stay_none() -> None:
    broken = Answer("", tool_calls=(ToolCall("1", "f", '{"x": '),), finish="tool_calls")
    (call,) = answer_of(output_of(broken, "m")).tool_calls
    assert call.name == "f"
    assert arguments_of(call) is None
