from __future__ import annotations

import re
from itertools import permutations
from typing import Any

import pytest

from suture.bench.suite import SUITE
from suture.bench.suite.reasoning import _BUGGY
from tests.unit.bench.answers import reasoning
from tests.unit.bench.transcripts import found, score, score_answers

QUESTIONS = {test.id: next(test.talk()).messages[-1].content for test in SUITE}


@pytest.mark.parametrize("test", reasoning.PERFECT)
def test_a_right_answer_passes_and_one_that_only_looks_right_does_not(test: str) -> None:
    assert score_answers(found(test), reasoning.PERFECT[test]).passed
    assert score_answers(found(test), reasoning.ADVERSARY[test]).error_class == "wrong_answer"


# -- math word problem ----------------------------------------------------------------------------------------


def test_the_answer_is_not_a_number_of_the_question_or_of_a_step() -> None:
    boxes, pens, morning, afternoon = map(int, re.findall(r"\d+", QUESTIONS["math-word-problem"]))
    left = boxes * pens - morning - afternoon
    assert left == 31
    steps = {boxes * pens, boxes * pens - morning, boxes * pens - afternoon, morning + afternoon}
    assert left not in {boxes, pens, morning, afternoon, *steps}


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("Answer: 31", True),
        ("7 * 12 = 84. 84 - 35 = 49. 49 - 18 = 31.\n\n**Answer: 31**", True),
        ("Answer: 31 pens of the 84 are left.", True),
        ("Answer: $\\boxed{31}$", True),
        ("There were 84 pens, 53 were sold, so 31 are left.", True),  # in prose
        ("So, the answer is 31. Each box held 12.", True),
        ("Answer: 30\nWait, that is wrong.\nAnswer: 31", True),
        ("Answer: 31\nWait, that is wrong.\nAnswer: 30", False),
        ("Answer: 31 or 32", False),
        ("Answer: 310", False),
        ("Answer: 31.5", False),
        ("Answer: -31", False),
        ("Not 31: 49 are left.", False),
        ("Answer: N", False),
        ("Answer: thirty-two", False),
        ("Number of pens left after 18 days = 120 - 18 = 84 pens\n\nSo, the answer is 84.", False),  # SmolLM2-135M
    ],
)
def test_math_word_problem(text: str, passed: bool) -> None:
    assert score("math-word-problem", text).error_class == ("" if passed else "wrong_answer")


def test_math_word_problem_cut_off() -> None:
    assert score("math-word-problem", "7 boxes of 12 pens are 84", finish="length").error_class == "length"


# -- logic puzzle ---------------------------------------------------------------------------------------------


def test_the_clues_leave_one_order() -> None:
    def fits(order: tuple[str, ...]) -> bool:
        place = {name: order.index(name) for name in order}
        return (
            place["Farid"] == 4
            and place["Grace"] == place["Emma"] + 1
            and place["Hana"] < place["Ivo"] < place["Emma"]
        )

    names = ("Emma", "Farid", "Grace", "Hana", "Ivo")
    assert [order for order in permutations(names) if fits(order)] == [("Hana", "Ivo", "Emma", "Grace", "Farid")]


def test_the_question_does_not_give_the_order_away() -> None:
    assert not score("logic-puzzle", QUESTIONS["logic-puzzle"]).passed


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("Answer: Hana, Ivo, Emma, Grace, Farid", True),
        ("Farid is last.\n**Answer:** hana, ivo, emma, grace, farid.", True),
        ("Answer: Hana > Ivo > Emma > Grace > Farid", True),
        ("First Hana, then Ivo, then Emma, then Grace, and Farid last.", True),  # in prose
        ("Emma, Farid, Grace, Hana and Ivo ran.\nThey finished as Hana, Ivo, Emma, Grace, Farid.", True),
        ("Answer: Farid, Grace, Emma, Ivo, Hana", False),
        ("Answer: Hana, Ivo, Emma, Farid", False),
        ("Answer: Hana, Ivo, Emma, Grace, Farid, Hana", False),
        ("Hana, Ivo, Emma, Grace, Farid\nAnswer: Ivo, Hana, Emma, Grace, Farid", False),
        ("Answer: the five names", False),
        ("Farid, Grace, Hana, Ivo, Emma, and Ivo.", False),  # SmolLM2-135M
    ],
)
def test_logic_puzzle(text: str, passed: bool) -> None:
    assert score("logic-puzzle", text).error_class == ("" if passed else "wrong_answer")


# -- writes code ----------------------------------------------------------------------------------------------

GOOD = """def count_vowels(text):
    return sum(1 for character in text.lower() if character in "aeiou")"""


def fenced(code: str, language: str = "python") -> str:
    return f"Here it is:\n\n```{language}\n{code}\n```\n\nIt counts."


RIGHT_FUNCTIONS = {
    "a sum": GOOD,
    "a pattern": 'import re\n\ndef count_vowels(text):\n    return len(re.findall("[aeiou]", text, re.IGNORECASE))',
    "a helper": """def is_vowel(character):
    return character.lower() in "aeiou"

def count_vowels(text):
    return len(list(filter(is_vowel, text)))""",
    "recursion": """def count_vowels(text, vowels="aeiouAEIOU"):
    if not text:
        return 0
    return (text[0] in vowels) + count_vowels(text[1:])""",
    "a lambda": 'count_vowels = lambda text: sum(text.lower().count(vowel) for vowel in "aeiou")',
}


@pytest.mark.parametrize("code", RIGHT_FUNCTIONS.values(), ids=RIGHT_FUNCTIONS)
def test_right_functions_pass(code: str) -> None:
    assert score("writes-code", fenced(code)).error_class == ""


@pytest.mark.parametrize(
    ("text", "error_class"),
    [
        (fenced(GOOD, "py"), ""),
        (fenced(GOOD, ""), ""),
        (fenced(GOOD, "javascript"), ""),  # right code in the wrong fence
        (f"```python\n{GOOD}", ""),  # the fence is left open
        (fenced("def helper():\n    pass") + fenced(GOOD) + fenced("print(count_vowels('abc'))"), ""),
        (fenced(GOOD.replace("lower", "strip")) + "Better:" + fenced(GOOD), ""),
        (fenced(GOOD) + "Shorter:" + fenced("def count_vowels(text):\n    return 0"), "wrong_answer"),
        (GOOD, "no_fence"),
        (f"`{GOOD}`", "no_fence"),
        (fenced("def count_vowels(text)\n    return 0"), "syntax"),
        (fenced(GOOD.replace("count_vowels", "countVowels")), "name"),
        (fenced(GOOD.replace("(text)", "(text, vowels)")), "signature"),
        (fenced(GOOD.replace("return ", "")), "wrong_answer"),
        (fenced(GOOD.replace("aeiou", "aei")), "wrong_answer"),
        (fenced(GOOD.replace(".lower()", "")), "wrong_answer"),
        (
            fenced('def count_vowels(text):\n    vowels = "aeiou"\n    return len(text.lower()) - len(vowels)'),
            "wrong_answer",  # SmolLM2-135M
        ),
    ],
)
def test_writes_code(text: str, error_class: str) -> None:
    assert score("writes-code", text).error_class == error_class


def test_code_that_is_cut_off_is_not_run() -> None:
    assert score("writes-code", f"```python\n{GOOD}", finish="length").error_class == "length"


# -- finds the bug --------------------------------------------------------------------------------------------


def test_the_buggy_function_has_the_bug_and_the_fix_mends_it() -> None:
    source = "\n".join(line[3:] for line in _BUGGY.splitlines())
    for code, expected in ((source, 45), (source.replace("range(1, n)", "range(1, n + 1)"), 55)):
        namespace: dict[str, Any] = {}
        exec(code, namespace)  # noqa: S102 -- our own
        assert namespace["sum_to"](10) == expected


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("Line 4: for i in range(1, n + 1):", True),
        ("Line 4: `for i in range(1, n+1):` since `range(1, n)` leaves out n.", True),
        ("**Line 4:** ```python\nfor i in range(n+1):\n```", True),
        ("LINE #4 has an off-by-one error: the range does not include n.", True),
        ("The loop should be `for i in range(1, n + 1)`.", True),  # right answer in prose
        ("Line 4, not line 5: range stops before n.", True),
        ("Line 4", False),
        ("There is an off-by-one error.", False),
        ("Line 4: for i in range(1, n):", False),
        ("Line 4: for i in range(0, n):", False),
        ("Line 4: for i in range(n, 0, -1):", True),  # run, and right
        ("Line 4: with n = 5, range(1, 5) has no 5. It should be range(1, n + 1).", True),
        ("Line 4: range(1, n + 2), not range(1, n), and not range(1, n + 1)", False),
        ("Line 4: for i in range(1, int(n) + 1):", True),
        ("Line 4: for i in range(0, (n + 1)):", True),
        ("Line 4: for i in range(1, n - 1): an off-by-one error", False),
        ("Line 4: for i in range(1, m + 1): an off-by-one error", False),  # runs into an error
        ("Line 4: for i in range(1, n++): an off-by-one error", False),
        ("Line 4: for i in range(2, n + 1):", False),
        ("Line 5: total = total + i", False),
        ("Line 3: total = 1. Then line 4 is range(1, n + 1).", False),
        ("Line 40: range(1, n + 1)", False),
        (
            'The line "1  def sum_to(n):" is incorrect. The correct line should be "1  def sum_to(n):"',
            False,
        ),  # SmolLM2
        ("There is no bug.", False),
    ],
)
def test_finds_bug(text: str, passed: bool) -> None:
    assert score("finds-bug", text).error_class == ("" if passed else "wrong_answer")


def test_finds_bug_cut_off() -> None:
    assert score("finds-bug", "Line 4: for i in", finish="length").error_class == "length"
