"""Code to be read: what it costs."""

from __future__ import annotations

import re

from suture.bench.suite.form import Message, Request, Score, Test, Transcript, asks, right, wrong

_FUNCTIONS = """\
def first(items):
    count = 0
    for i in range(len(items)):
        for j in range(i + 1, len(items)):
            if items[i] == items[j]:
                count += 1
    return count


def second(items, wanted):
    low, high = 0, len(items)
    while low < high:
        middle = (low + high) // 2
        if items[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


def third(items):
    ordered = sorted(items)
    best = None
    for a, b in zip(ordered, ordered[1:]):
        if best is None or b - a < best:
            best = b - a
    return best"""

_SAME = {"nn": "n^2", "n^2/2": "n^2", "nn-1/2": "n^2", "lognn": "nlogn"}
_RIGHT = {"first": "n^2", "second": "logn", "third": "nlogn"}
_CLAIM = re.compile(r"\b(first|second|third)\b[^\n]{0,80}?(?<![a-z])[o\u03b8]\s*\(((?:[^()]|\([^()]*\))*)\)")

_SPELLINGS = (
    (re.compile(r"\\(?:left|right|mathcal|mathrm|text|operatorname)\b|\\[,;! ]|[`${}]"), ""),
    (re.compile(r"\\theta\b"), "o"),
    (re.compile(r"\*\*(?=\s*\d)"), "^"),  # Python's power; other stars are emphasis or a product
    (re.compile(r"\*|\\(?:cdot|times)\b|[\u00b7\u00d7]"), " "),
    (re.compile("\u00b2"), "^2"),
    (re.compile(r"\\?\b(?:log|lg|ln)(?:_?\(?2\)?(?=\W|n)|\u2082)?"), "log"),
)


def score_complexity(transcript: Transcript) -> Score:
    """The last claim of each function's cost counts; how it is spelled does not."""
    text = transcript.text.lower()
    for spelling, plain in _SPELLINGS:
        text = spelling.sub(plain, text)
    costs = {claim[1]: re.sub(r"[\s()]", "", claim[2]) for claim in _CLAIM.finditer(text)}
    claims = {name: _SAME.get(cost, cost) for name, cost in costs.items()}
    missing = [name for name in _RIGHT if name not in claims]
    wrongly = [f"{name} is O({claims[name]})" for name in _RIGHT if name in claims and claims[name] != _RIGHT[name]]
    if wrongly:
        return wrong("wrong_answer", f"says that {', '.join(wrongly)}")
    if missing and transcript.cut_off:
        return wrong("length", f"cut off before it came to {missing[0]}")
    if missing:
        return wrong("wrong_answer", f"says nothing of {', '.join(missing)}")
    return right("all three are right")


_QUESTION = f"""\
Given are three Python functions:

{_FUNCTIONS}

What is the worst-case time complexity of each for n items, as tightly as possible, in big O notation? \
Explain in a few words, and end with three lines: 'first: O(...)', 'second: O(...)' and 'third: O(...)'."""

COMPLEXITY = Test(
    id="complexity",
    category="programming",
    title="complexity analysis",
    talk=asks(Request((Message("user", _QUESTION),))),
    score=score_complexity,
)
