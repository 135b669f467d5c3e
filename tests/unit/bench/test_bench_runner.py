from __future__ import annotations

import json
from dataclasses import replace

import pytest

from suture.bench.chat import connect
from suture.bench.runner import Sample, run_suite
from suture.bench.suite import SUITE, Message, Request, Test, asks, select
from suture.bench.suite.form import right
from suture.errors import TransientError
from tests.unit.bench.scripted import Scripted, dies, hangs, refuses, says

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


def run(endpoint: Scripted, tests: tuple[Test, ...] = SUITE, seed: int = 0) -> list[Sample]:
    with connect(endpoint.url) as chat:
        return list(run_suite(chat, tests, max_tokens=64, seed=seed))


def classes(samples: list[Sample]) -> dict[str, str]:
    return {sample.test.id: sample.score.error_class for sample in samples}


@pytest.fixture
def perfect(endpoint: Scripted) -> Scripted:
    """An endpoint that knows every answer."""
    for test, text in PERFECT.items():
        endpoint.script(question(test), says(text))
    return endpoint


def test_a_perfect_endpoint_passes_everything(perfect: Scripted) -> None:
    assert set(PERFECT) == {test.id for test in SUITE}
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
        replace(test, talk=asks(*(replace(request, seconds=0.3) for request in test.talk()))) for test in SUITE[2:4]
    )
    samples = run(perfect, hasty)
    assert classes(samples) == {"factual-answer": "timeout", "system-prompt": ""}
    assert samples[0].transcript.answers[0].text == "Ma"


def test_a_server_that_dies_in_the_middle_is_an_error_and_no_score(perfect: Scripted) -> None:
    perfect.script(question("system-prompt"), dies("Spr"))
    samples: list[Sample] = []
    with connect(perfect.url) as chat, pytest.raises(TransientError):
        samples.extend(run_suite(chat, SUITE, max_tokens=64, seed=0))
    # extend() kept what came before the end
    assert classes(samples) == {"server-health": "", "exact-instruction": "", "factual-answer": ""}


def test_after_a_failed_request_the_others_of_its_test_are_not_asked(endpoint: Scripted) -> None:
    requests = tuple(Request((Message("user", text),)) for text in ("one", "two", "three"))
    test = Test("three", "basic", "three questions", asks(*requests), lambda _: right("never asked"))
    endpoint.script("two", refuses(400))
    (sample,) = run(endpoint, (test,))
    assert [body["messages"][0]["content"] for body in endpoint.bodies] == ["one", "two"]
    assert [answer.text for answer in sample.transcript.answers] == ["Yes.", ""]
    assert sample.score.error_class == "server_error"


def test_a_row_holds_prompt_output_score_and_settings(perfect: Scripted) -> None:
    (sample,) = run(perfect, select(["system-prompt"]), seed=7)
    row = json.loads(json.dumps(sample.row()))
    timings = row.pop("timings")
    system = "You are a radio operator. Every reply must end with the word OVER in capital letters."
    assert row == {
        "test": "system-prompt",
        "category": "basic",
        "max_tokens": 64,
        "seed": 7,
        "requests": [
            {
                "messages": [
                    {"role": "system", "content": system, "tool_calls": [], "tool_call_id": ""},
                    {
                        "role": "user",
                        "content": "Which season comes after winter?",
                        "tool_calls": [],
                        "tool_call_id": "",
                    },
                ],
                "tools": [],
                "temperature": None,
                "max_tokens": None,
                "seconds": 900.0,
            }
        ],
        "answers": [
            {
                "text": "Spring comes after winter. OVER",
                "thinking": "",
                "tool_calls": [],
                "finish": "stop",
                "failure": "",
                "detail": "",
            }
        ],
        "score": {"passed": True, "error_class": "", "why": "names spring and ends with OVER"},
    }
    assert [timing["tokens"] for timing in timings] == [5]
    assert sample.seconds == timings[0]["seconds"] > 0


def test_two_runs_differ_in_nothing_but_timings(perfect: Scripted) -> None:
    first, second = ([sample.row() | {"timings": None} for sample in run(perfect)] for _ in range(2))
    assert first == second
