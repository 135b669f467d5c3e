from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from suture.bench.samples import Sample, Samples
from suture.bench.suite import Message, Request, Test, asks, select
from suture.bench.suite.form import right
from suture.errors import InputError, TransientError
from suture.recipe import Sampling
from tests.unit.bench.blocking import connected
from tests.unit.bench.scripted import Handler, Scripted, dies, hangs, refuses, says

TESTS = select(["basic", "reasoning"])
HELLO = Request((Message("user", "hello"),))

PERFECT = {
    "server-health": "Hello!",
    "exact-instruction": "suture-suture-suture",
    "factual-answer": "Mars",
    "system-prompt": "Spring comes after winter. OVER",
    "clean-stop": "A bicycle is a vehicle with two wheels, driven by its rider.",
    "deterministic": "Holding paper, resetting devices, picking locks.",
    "math-word-problem": "7 * 12 = 84. 84 - 35 - 18 = 31.\nAnswer: 31",
    "logic-puzzle": "Answer: Hana, Ivo, Emma, Grace, Farid",
    "writes-code": '```python\ndef count_vowels(text):\n    return sum(c in "aeiouAEIOU" for c in text)\n```',
    "finds-bug": "Line 4: for i in range(1, n + 1):",
}


def question(test: str) -> str:
    *_, last = select([test])[0].talk()
    return last.messages[-1].content


def run(endpoint: Scripted, tests: tuple[Test, ...] = TESTS, seed: int = 0) -> list[Sample]:
    with connected(endpoint.url) as chat:
        return chat.suite(tests, Sampling(max_tokens=64, seed=seed), [])


def classes(samples: list[Sample]) -> dict[str, str]:
    return {sample.test: sample.score.error_class for sample in samples}


@pytest.fixture
def perfect(endpoint: Scripted) -> Scripted:
    """An endpoint that knows every answer."""
    for test, text in PERFECT.items():
        endpoint.script(question(test), says(text))
    return endpoint


def test_a_perfect_endpoint_passes_everything(perfect: Scripted) -> None:
    assert set(PERFECT) == {test.id for test in TESTS}
    assert classes(run(perfect)) == dict.fromkeys(PERFECT, "")


def test_an_endpoint_that_only_looks_right_passes_nothing_it_should_not(endpoint: Scripted) -> None:
    adversary = {
        "exact-instruction": "suture-suture-sutura",
        "factual-answer": "The Red Planet is Venus.",
        "system-prompt": "Autumn comes after winter. OVER",
        "clean-stop": "A bicycle is a vehicle.<|im_end|>",
        "math-word-problem": "7 * 12 = 84. 84 - 35 - 18 = 41.\nAnswer: 41",
        "logic-puzzle": "Answer: Ivo, Hana, Emma, Grace, Farid",
        "writes-code": "```python\ndef count_vowels(text):\n    return len(text.lower())\n```",
        "finds-bug": "Line 5: total = total + i",
    }
    for test, text in adversary.items():
        endpoint.script(question(test), says(text))
    endpoint.script(question("deterministic"), says("Holding paper."), says("Picking locks."))
    passed = {test for test, error_class in classes(run(endpoint)).items() if not error_class}
    assert passed == {"server-health"}


def test_one_bad_answer_does_not_stop_the_suite(perfect: Scripted) -> None:
    perfect.script(question("factual-answer"), refuses(500))
    perfect.script(question("logic-puzzle"), says(""))
    expected = dict.fromkeys(PERFECT, "") | {"factual-answer": "server_error", "logic-puzzle": "no_answer"}
    assert classes(run(perfect)) == expected


def test_a_hanging_answer_is_scored_as_timeout_and_the_suite_goes_on(perfect: Scripted) -> None:
    perfect.script(question("factual-answer"), hangs("Ma"))
    hasty = tuple(
        replace(test, talk=asks(*(replace(request, seconds=0.3) for request in test.talk()))) for test in TESTS[2:4]
    )
    samples = run(perfect, hasty)
    assert classes(samples) == {"factual-answer": "timeout", "system-prompt": ""}
    assert samples[0].answers[0].text == "Ma"


def test_a_server_that_dies_in_the_middle_is_an_error_and_no_score(perfect: Scripted) -> None:
    perfect.script(question("system-prompt"), dies("Spr"))
    samples: list[Sample] = []
    with connected(perfect.url) as chat, pytest.raises(TransientError):
        chat.suite(TESTS, Sampling(max_tokens=64), samples)
    assert classes(samples) == {"server-health": "", "exact-instruction": "", "factual-answer": ""}


def test_after_a_failed_request_the_others_of_its_test_are_not_asked(endpoint: Scripted) -> None:
    requests = tuple(Request((Message("user", text),)) for text in ("one", "two", "three"))
    test = Test("three", "basic", "three questions", asks(*requests), lambda _: right("never asked"))
    endpoint.script("two", refuses(400))
    (sample,) = run(endpoint, (test,))
    assert [body["messages"][0]["content"] for body in endpoint.bodies] == ["one", "two"]
    assert [answer.text for answer in sample.answers] == ["Yes.", ""]
    assert sample.score.error_class == "server_error"


def test_two_runs_differ_in_nothing_but_times(perfect: Scripted) -> None:
    first, second = ([sample.said for sample in run(perfect)] for _ in range(2))
    assert first == second


# -- repeats and concurrency ----------------------------------------------------------------------------------


def test_each_repeat_takes_the_next_seed(endpoint: Scripted) -> None:
    with connected(endpoint.url) as chat:
        samples = chat.suite(select(["factual-answer"]), Sampling(repeats=3, seed=5, temperature=0.8), [])
    assert [(sample.repeat, sample.seed) for sample in samples] == [(0, 5), (1, 6), (2, 7)]
    assert [body["seed"] for body in endpoint.bodies] == [5, 6, 7]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_is_asked_at_once_than_may_be(endpoint: Scripted, concurrency: int) -> None:
    together = Together()
    endpoint.default = together
    tests = tuple(
        Test(f"t{number}", "basic", "", asks(Request((Message("user", str(number)),))), lambda _: right("any"))
        for number in range(9)
    )
    with connected(endpoint.url) as chat:
        samples = chat.suite(tests, Sampling(), [], concurrency=concurrency)
    assert together.most == concurrency
    assert {sample.test for sample in samples} == {test.id for test in tests}
    if concurrency == 1:
        assert [sample.test for sample in samples] == [test.id for test in tests]


def test_what_takes_times_is_asked_last_and_alone(endpoint: Scripted) -> None:
    together = Together()
    endpoint.default = together
    tests = tuple(
        Test(f"t{number}", "basic", "", asks(HELLO), lambda _: right("any"), alone=number < 3) for number in range(6)
    )
    with connected(endpoint.url) as chat:
        samples = chat.suite(tests, Sampling(), [], concurrency=3)
    assert [sample.test for sample in samples][3:] == ["t0", "t1", "t2"]
    assert together.beside[3:] == [1, 1, 1]


class Together:
    """Answers slowly, and counts how many requests it has at one time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = 0
        self.beside: list[int] = []

    @property
    def most(self) -> int:
        return max(self.beside)

    def __call__(self, handler: Handler) -> None:
        with self.lock:
            self.now += 1
            self.beside.append(self.now)
        time.sleep(0.1)
        says("Yes.")(handler)
        with self.lock:
            self.now -= 1


# -- going on -------------------------------------------------------------------------------------------------


def test_samples_come_back_from_their_file_as_they_were(perfect: Scripted, tmp_path: Path) -> None:
    before = Samples(tmp_path, {"seed": 0})
    for sample in run(perfect):
        before.take(sample)
    after = Samples(tmp_path, {"seed": 0})
    assert after.taken == before.taken
    assert len(after.taken) == len(TESTS)


def test_a_line_cut_off_by_a_kill_is_asked_again(perfect: Scripted, tmp_path: Path) -> None:
    samples = Samples(tmp_path, {})
    for sample in run(perfect):
        samples.take(sample)
    content = samples.file.read_bytes()
    samples.file.write_bytes(content[:-7])
    again = Samples(tmp_path, {})
    assert again.taken == samples.taken[:-1]
    perfect.bodies.clear()
    with connected(perfect.url) as chat:
        (last,) = chat.suite(TESTS, Sampling(max_tokens=64), [], done={sample.place for sample in again.taken})
    assert last.said == samples.taken[-1].said
    assert len(perfect.bodies) == 1
    again.take(last)
    assert [sample.said for sample in Samples(tmp_path, {}).taken] == [sample.said for sample in samples.taken]


def test_a_folder_of_another_run_is_refused_by_what_differs(tmp_path: Path) -> None:
    Samples(tmp_path, {"seed": 1, "tests": ["a"]})
    with pytest.raises(InputError) as caught:
        Samples(tmp_path, {"seed": 2, "tests": ["a"]})
    assert "seed 2" in str(caught.value)
    assert "seed 1" in str(caught.value)
    assert "tests" not in str(caught.value)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "samples.jsonl").write_text('{"what": "else"}\n')
    with pytest.raises(InputError, match="no sample"):
        Samples(tmp_path, {})
