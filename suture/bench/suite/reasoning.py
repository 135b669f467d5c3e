"""The category `reasoning`: a small calculation, an order to be found, code to write, code to read."""

from __future__ import annotations

import re
from collections.abc import Callable

from suture.bench.sandbox import Program
from suture.bench.suite.coding import Task, cases, not_run
from suture.bench.suite.form import Message, Request, Score, Talk, Test, Transcript, asks, right, wrong
from suture.bench.suite.harness import calling, read_report
from suture.bench.suite.reading import final_answer, numbers, plain


def _ask(question: str) -> Callable[[], Talk]:
    return asks(Request((Message("user", question),)))


# -- math word problem ----------------------------------------------------------------------------------------

_PENS_LEFT = 31.0
"""7 * 12 - 35 - 18: neither a number of the question nor of a step on the way."""


def score_word_problem(transcript: Transcript) -> Score:
    """The first number after the last `Answer:` counts; without that line, the last number of the answer."""
    marked = final_answer(transcript.text)
    found = numbers(transcript.text)[-1:] if marked is None else numbers(marked)[:1]
    if marked is not None and re.search(r"\bor\s+\d", marked):
        return wrong("wrong_answer", f"leaves it open: {marked!r}")
    if found == [_PENS_LEFT]:
        return right("31 pens are left")
    if transcript.cut_off:
        return wrong("length", "cut off before an answer of 31")
    return wrong("wrong_answer", f"expected 31, found {found[0]:g}" if found else "names no number")


# -- logic puzzle ---------------------------------------------------------------------------------------------

_FINISHERS = ("Hana", "Ivo", "Emma", "Grace", "Farid")
"""In the only order that fits the clues."""
_FINISHER = re.compile(rf"\b(?:{'|'.join(_FINISHERS)})\b", re.IGNORECASE)


def score_logic_puzzle(transcript: Transcript) -> Score:
    """The names after the last `Answer:`, else in the last line that has all five, stand in the right order."""
    marked = final_answer(transcript.text)
    lines = [marked] if marked is not None else transcript.text.splitlines()
    orders = [tuple(name.capitalize() for name in _FINISHER.findall(line)) for line in lines]
    complete = [order for order in orders if set(order) == set(_FINISHERS)]
    if complete and complete[-1] == _FINISHERS:
        return right("the order is right")
    if transcript.cut_off:
        return wrong("length", "cut off before the right order")
    return wrong(
        "wrong_answer", f"the order is {', '.join(complete[-1])}" if complete else "gives no order of all five"
    )


# -- writes code ----------------------------------------------------------------------------------------------

_COUNT_VOWELS = Task(
    "count_vowels",
    cases(
        "count_vowels",
        (["banana"], 3),
        ([""], 0),
        (["rhythm"], 0),
        (["AbEcIdOfU"], 5),
        (["Queue up, 7 times!"], 7),
        (["aaa eee\niou"], 9),
    ),
)

# -- finds the bug --------------------------------------------------------------------------------------------

_BUGGY = '''\
1  def sum_to(n):
2      """Return 1 + 2 + ... + n."""
3      total = 0
4      for i in range(1, n):
5          total += i
6      return total'''
_BUGGY_LINE = "4"

_BUGGY_RANGE = "range(1, n)"

_CLAIMED_LINE = re.compile(r"\bline\s*(?:number|no\.?)?\s*[:#]?\s*(\d+)", re.IGNORECASE)
_RANGE = re.compile(r"range\((?:[^()\n]|\([^()\n]*\))*\)")
_CAUSE = re.compile(
    r"off[- ]by[- ]one|exclu|(?:not|n't) inclu|leaves out|misses|skips|(?:stops|ends) (?:at n ?- ?1|before n|one)",
    re.IGNORECASE,
)
_SUM_TO = Task("sum_to", cases("sum_to", ([1], 1), ([2], 3), ([10], 55), ([0], 0)))


def _programs_of_fix(transcript: Transcript) -> tuple[Program, ...]:
    """Return the program of the function with its `range` mended; none where the answer has no new one."""
    fix = _fix(transcript)
    if fix is None:
        return ()
    mended = "\n".join(line[3:] for line in _BUGGY.splitlines()).replace(_BUGGY_RANGE, fix)
    return (calling("python", [mended], [case.call for case in _SUM_TO.cases]),)


def _fix(transcript: Transcript) -> str | None:
    """Return the first `range` that is not the old one; one of numbers only is an example of what it would give."""
    ranges = _RANGE.findall(plain(transcript.text))
    news = (found for found in ranges if re.sub(r"\s", "", found) != re.sub(r"\s", "", _BUGGY_RANGE))
    return next((found for found in news if re.search(r"\(.*[a-z]", found)), None)


def score_finds_bug(transcript: Transcript) -> Score:
    """The first line it blames is the faulty one, and the first new `range` mends it; or it names the cause.

    A right `range` alone will do, for it says which line is meant.
    """
    text = plain(transcript.text)
    blamed = _CLAIMED_LINE.search(text)
    if blamed and blamed[1] != _BUGGY_LINE:
        return wrong("wrong_answer", f"blames line {blamed[1]}, not line {_BUGGY_LINE}")
    if transcript.executions:
        return _score_fix(transcript)
    if blamed and _CAUSE.search(text):
        return right("names the end of the loop's range")
    if transcript.cut_off:
        return wrong("length", "cut off before the bug was named")
    return wrong("wrong_answer", "names the line without the cause" if blamed else "names neither line nor cause")


def _score_fix(transcript: Transcript) -> Score:
    execution = transcript.executions[0]
    verdict = not_run(execution) or _SUM_TO.judge(execution, read_report(execution))
    if verdict.passed or verdict.error_class == "not_run":
        return verdict
    return wrong("wrong_answer", f"would write {_fix(transcript)}: {verdict.why}")


REASONING: tuple[Test, ...] = (
    Test(
        id="math-word-problem",
        category="reasoning",
        title="math word problem",
        talk=_ask(
            "A shop has 7 boxes of 12 pens. It sells 35 pens in the morning and 18 pens in the afternoon. "
            "How many pens are left? Think step by step, and end with a line 'Answer: N'."
        ),
        score=score_word_problem,
    ),
    Test(
        id="logic-puzzle",
        category="reasoning",
        title="logic puzzle",
        talk=_ask(
            "Emma, Farid, Grace, Hana and Ivo ran a race. Farid came last. Grace came directly after Emma. "
            "Ivo came before Emma, but after Hana. In which order did they finish? "
            "End with a line 'Answer:' and the five names, from first to last, separated by commas."
        ),
        score=score_logic_puzzle,
    ),
    Test(
        id="writes-code",
        category="reasoning",
        title="writes code",
        talk=_ask(
            "Write a Python function count_vowels(text) that returns how many characters of text are vowels "
            "(a, e, i, o, u), in upper or lower case. Reply with one Python code block."
        ),
        score=_COUNT_VOWELS.score,
        programs=_COUNT_VOWELS.programs,
    ),
    Test(
        id="finds-bug",
        category="reasoning",
        title="finds the bug",
        talk=_ask(
            f"This Python function has one bug:\n\n{_BUGGY}\n\n"
            "Which line is wrong? Begin your answer with 'Line N:' and give the corrected line."
        ),
        score=score_finds_bug,
        programs=_programs_of_fix,
    ),
)
