"""How answers with code are judged: what a fair reader would make of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from suture.bench.sandbox import Execution, Limits, Outcome
from suture.bench.suite import Answer, Score, Transcript
from suture.bench.suite.coding import Case, Task, cases, coding_test
from suture.bench.suite.harness import Odd, Raised, View, read_report, same
from tests.unit.bench.transcripts import HEALTHY, score_answers

GOOD = "def double(n):\n    return 2 * n"
DOUBLE = Task("double", cases("double", ([1], 2), ([5], 10), ([0], 0), ([-3], -6)))
TEST = coding_test(id="double", title="doubles", question="Write double(n).", task=DOUBLE)


def fenced(code: str, language: str = "python") -> str:
    return f"Here it is:\n\n```{language}\n{code}\n```\n"


def judged(*texts: str, task: Task = DOUBLE, finish: str = "stop", language: str = "Python") -> Score:
    test = coding_test(id="double", title="doubles", question="Write double(n).", task=task, language=language)
    return score_answers(test, [Answer("".join(texts), finish=finish)])


FAIR = {
    "plain": (fenced(GOOD), ""),
    "no language": (fenced(GOOD, ""), ""),
    "another language": (fenced(GOOD, "java"), ""),
    "a demo that runs as a script": (fenced(f"{GOOD}\n\nif __name__ == '__main__':\n    raise SystemExit(3)"), ""),
    "a demo that asks for input": (fenced(f"{GOOD}\n\nprint(double(int(input('n: '))))"), ""),
    "a demo that fails": (fenced(f"{GOOD}\n\nassert double(1) == 3"), ""),
    "a demo that exits": (fenced(f"{GOOD}\n\nimport sys\nsys.exit(0)"), ""),
    "a demo that prints": (fenced(f'{GOOD}\n\nprint("{{" * 99, end="")'), ""),
    "an example in its own block": (fenced(GOOD) + fenced("print(double(4))  # 8"), ""),
    "output in its own block": (fenced(GOOD) + fenced("8", "") + fenced("$ python x.py", "bash"), ""),
    "a session in its own block": (fenced(GOOD) + fenced(">>> double(4)\n8"), ""),
    "a helper in its own block": (
        fenced("def twice(n):\n    return n + n") + fenced("double = lambda n: twice(n)"),
        "",
    ),
    "a better version after a worse": (fenced("def double(n):\n    return n ** 2") + fenced(GOOD), ""),
    "a worse version after a better": (fenced(GOOD) + fenced("def double(n):\n    return n ** 2"), "wrong_answer"),
    "more parameters with defaults": (fenced(GOOD.replace("(n)", "(n, times=2)")), ""),
    "a whole float": (fenced("def double(n):\n    return n * 2.0"), ""),
    "hints without their import": (fenced(GOOD.replace("(n)", "(n: Optional[int])")), "crash"),
    "hints without their import, put off": (fenced(f"from __future__ import annotations\n{GOOD}"), ""),
    "a class around it": (fenced("class Solution:\n    def double(self, n):\n        return 2 * n"), "name"),
    "another name": (fenced(GOOD.replace("double", "twice")), "name"),
    "another name, and a demo": (fenced("def twice(n):\n    return 2 * n") + fenced("print(double(1))"), "name"),
    "a variable of that name": (fenced("double = 2"), "signature"),
    "no parameter": (fenced("def double():\n    return 2"), "signature"),
    "two parameters": (fenced("def double(n, m):\n    return 2 * n"), "signature"),
    "a typing error": (fenced(GOOD.replace(":", "")), "syntax"),
    "a typing error beside an example": (fenced(GOOD.replace(":", "")) + fenced("print(double(4))"), "syntax"),
    "return outside of a function": (fenced("n = 1\nreturn 2 * n"), "syntax"),
    "JavaScript": (fenced("function double(n) { return 2 * n; }", "javascript"), "syntax"),
    "no code block": (GOOD, "no_fence"),
    "code in a line": ("`double = lambda n: 2 * n`", "no_fence"),
    "nothing in the block": (fenced(""), "name"),
    "a result that is printed": (fenced("def double(n):\n    print(2 * n)"), "wrong_answer"),
    "text for a number": (fenced("def double(n):\n    return str(2 * n)"), "wrong_answer"),
    "True for a number": (fenced("def double(n):\n    return 2 * n if n else False"), "wrong_answer"),
    "a coroutine": (fenced(f"async {GOOD}"), "wrong_answer"),
    "an error in one case": (fenced("def double(n):\n    return 2 * n if n else 1 / 0"), "crash"),
    "a type error within": (fenced("def double(n):\n    return len(n)"), "crash"),
    "recursion without end": (fenced("def double(n):\n    return double(n)"), "crash"),
    "the end of the process": (fenced("import os\ndef double(n):\n    os._exit(0)"), "crash"),
    "the end of the process at once": (fenced(f"import os\n{GOOD}\nos._exit(0)"), "crash"),
    "a list without end": (fenced("def double(n):\n    a = []\n    a.append(a)\n    return a"), "crash"),
}


@pytest.mark.parametrize(("text", "error_class"), FAIR.values(), ids=FAIR)
def test_code_is_judged_as_a_fair_reader_would(text: str, error_class: str) -> None:
    assert judged(text).error_class == error_class


EQUAL = "class Any(int):\n    def __eq__(self, other):\n        return True\n    __hash__ = None\n\n"
WRITE = """\
import os

for channel in range(3, 40):
    try:
        os.write(channel, b'\\n{}\\n')
    except OSError:
        pass

def double(n):
    return 3"""
HOSTILE = {
    "an object equal to all": f"{EQUAL}def double(n):\n    return Any(7)",
    "an object equal to all that is no number": EQUAL.replace("(int)", "") + "def double(n):\n    return Any()",
    "claims of success": "def double(n):\n    print('{\"call\": 0, \"value\": 2}')\n    return 'all tests passed'",
    "a patched json": "import json\njson.dumps = lambda value: '{}'\ndef double(n):\n    return 3",
    "patched builtins": "import builtins\nbuiltins.isinstance = lambda a, b: True\ndef double(n):\n    return 3",
    "lines on every channel": WRITE.format('{"call": 0, "value": true}'),
    "lines that are no results": WRITE.format('{"call": 0, "value": {"dict": [[[1], 2]]}}'),
    "numbers that are none": WRITE.format('{"call": 0, "value": {"int": "x"}}'),
}


@pytest.mark.parametrize("code", HOSTILE.values(), ids=HOSTILE)
def test_nothing_but_right_results_passes(code: str) -> None:
    score = judged(fenced(code))
    assert (score.passed, score.error_class in {"wrong_answer", "crash"}) == (False, True), score


def test_the_reason_names_call_result_and_expectation() -> None:
    assert judged(fenced("def double(n):\n    return n")).why == "double(1) gives 1, not 2"
    missing = judged(fenced(GOOD.replace("(n)", "(n: List)")))
    assert missing.why == "the code failed with NameError: name 'List' is not defined"


def test_code_without_end_is_stopped() -> None:
    hasty = replace(DOUBLE, limits=Limits(cpu_seconds=1))
    score = judged(fenced("def double(n):\n    while n:\n        pass\n    return 0"), task=hasty)
    assert score.error_class == "run_timeout"
    assert "double(1)" in score.why


def test_a_wrong_result_before_one_without_end_is_the_reason() -> None:
    hasty = replace(DOUBLE, limits=Limits(cpu_seconds=1))
    score = judged(fenced("def double(n):\n    while n != 1:\n        pass\n    return 7"), task=hasty)
    assert score.error_class == "wrong_answer"


@pytest.mark.parametrize(
    ("text", "error_class"),
    [
        (f"```python\n{GOOD}", "length"),  # no fence at its end: who knows what is missing
        (f"```python\n{GOOD}\n```\nThis function doubles the", ""),
        (f"```python\n{GOOD}\n```\n```python\nprint(doub", ""),
        (f"```python\n{GOOD.replace('2', '3')}\n```\nThis function", "wrong_answer"),
        ("To double a number, one has to", "length"),
        ("```python\nprint(1)\n```\nand then\n```python\ndef dou", "length"),
    ],
)
def test_what_was_complete_before_the_token_limit_counts(text: str, error_class: str) -> None:
    assert judged(text, finish="length").error_class == error_class


@pytest.mark.parametrize(
    ("outcome", "error_class"),
    [
        ("no_sandbox", "not_run"),
        ("no_runner", "not_run"),
        ("timeout", "run_timeout"),
        ("memory", "resources"),
        ("output", "resources"),
        ("killed", "crash"),
        ("done", "crash"),  # without a line
    ],
)
def test_how_a_run_ended_is_told_apart(outcome: Outcome, error_class: str) -> None:
    answered = Transcript((Answer(fenced(GOOD)),), HEALTHY, executions=(Execution(outcome),))
    assert TEST.score(answered).error_class == error_class


def test_no_expected_value_enters_a_program() -> None:
    task = Task("f", (Case("f(1)", "kept from the code"),))
    (program,) = task.programs(Transcript((Answer(fenced("def f(n): pass")),), HEALTHY))
    assert "kept from the code" not in repr(program)


def test_code_that_was_given_is_there_and_can_be_replaced() -> None:
    task = replace(DOUBLE, given="def double(n):\n    return n\n\nTWO = 2")
    assert judged(fenced("def double(n):\n    return TWO * n"), task=task).passed
    assert not judged(fenced("TWO = 3"), task=task).passed


JAVASCRIPT = replace(DOUBLE, language="javascript")
GOOD_JS = "function double(n) {\n  return 2 * n;\n}"
SCRIPTS = {
    "plain": (fenced(GOOD_JS, "javascript"), ""),
    "an arrow": (fenced("const double = (n) => 2 * n;", "js"), ""),
    "exported": (fenced(f"export default {GOOD_JS}\nexport {{ double }};", "js"), ""),
    "for require": (
        fenced(f"{GOOD_JS}\nmodule.exports = {{ double }};\nif (require.main === module) process.exit(1);"),
        "syntax",
    ),
    "two versions": (fenced("const double = (n) => n;", "js") + fenced("const double = (n) => 2 * n;", "js"), ""),
    "a demo": (fenced(f"{GOOD_JS}\nconsole.log(double(4)); process.exit(0)", ""), ""),
    "another name": (fenced(GOOD_JS.replace("double", "twice"), "js"), "name"),
    "a typing error": (fenced(GOOD_JS.replace(")", ""), "js"), "syntax"),
    "types": (fenced(GOOD_JS.replace("(n)", "(n: number)"), "ts"), "syntax"),
    "Python": (fenced(GOOD), "syntax"),
    "no code block": (GOOD_JS, "no_fence"),
    "an error": (fenced(GOOD_JS.replace("2 * n", "m"), "js"), "crash"),
    "nothing returned": (fenced(GOOD_JS.replace("return", ""), "js"), "wrong_answer"),
    "not a number": (fenced(GOOD_JS.replace("2 * n", "NaN"), "js"), "wrong_answer"),
    "an object that prints like it": (
        fenced("const double = (n) => ({toJSON: () => 2 * n})", "js"),
        "wrong_answer",
    ),
}


@pytest.mark.parametrize(("text", "error_class"), SCRIPTS.values(), ids=SCRIPTS)
def test_javascript_is_judged_likewise(text: str, error_class: str) -> None:
    assert judged(text, task=JAVASCRIPT, language="JavaScript").error_class == error_class


@pytest.mark.parametrize(
    ("value", "expected", "is_same"),
    [
        (1, 1, True),
        (1.0, 1, True),
        (0.1 + 0.2, 0.3, True),
        (1, 2, False),
        (True, 1, False),
        (1, True, False),
        (True, True, True),
        ("1", 1, False),
        (None, 0, False),
        (None, None, True),
        ((1, 2), [1, 2], True),
        (View((1, 2)), [1, 2], True),
        ([1, 2, 3], [1, 2], False),
        ([[1, (2,)]], [[1, [2]]], True),
        ({"a": 1.0}, {"a": 1}, True),
        ({"a": 1, "b": 2}, {"a": 1}, False),
        ([], {}, False),
        (Odd("generator"), [], False),
        (10**400, 1.5, False),
        (float("nan"), 1, False),
        (frozenset({1}), [1], False),
    ],
)
def test_same(value: object, expected: object, is_same: bool) -> None:
    assert same(value, expected) == is_same


def test_what_the_code_wrote_between_results_is_passed_over() -> None:
    output = "\n".join(
        [
            "passed",
            '{"call": 1, "value": 9}',  # not its turn
            '{"call": 0, "value": {"tuple": [1, {"int": "0xf"}]}}',
            '{"call": 0, "value": 9}',
            '{"call": 1, "value": {"dict": [[[1], 2]]}}',
            "[" * 5000,
            '{"call": 2, "error": {"kind": "KeyError", "text": "1", "at_call": false}}',
            '{"call": "3", "value": 9, "more": 1}',
            '{"block": 0, "error": {"kind": "ValueError", "text": "", "at_call": false}}',
        ]
    )
    report = read_report(Execution("done", 0, output))
    assert report.results == ((1, 15), Odd("forged"), Raised(kind="KeyError", text="1", at_call=False))
    assert [str(error) for error in report.broken] == ["ValueError"]


def test_a_number_too_long_to_be_written_is_wrong_and_no_harm() -> None:
    assert judged(fenced("def double(n):\n    return 10 ** 9999")).error_class == "wrong_answer"
    assert judged(fenced("def double(n):\n    return [10 ** 9999]")).error_class == "wrong_answer"
