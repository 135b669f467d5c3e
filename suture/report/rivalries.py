"""Which of two models answers tests better, and whether so few tests can tell.

39 against 40 of 44 is noise, and a table of such numbers reads like a ranking all the same. So each pair of models
that answered the same tests is compared test by test, and every number comes with what it is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from suture.report.data import ArmData, Interval, Rivalry, TestResult
from suture.statistics import clustered, cohens_h, holm, mcnemar


def rivalries(arms: Sequence[ArmData]) -> tuple[Rivalry, ...]:
    """Return each pair of arms that answered the same tests equally often, as compared test by test."""
    return compare_pairs([pair for pair in combinations(arms, 2) if comparable(*pair)])


def compare_pairs(pairs: Sequence[tuple[ArmData, ArmData]]) -> tuple[Rivalry, ...]:
    """Return each of these pairs, their p-values corrected for each other."""
    p_values = [mcnemar(*(_passed(arm.tests) for arm in pair)) for pair in pairs]
    return tuple(
        _rivalry(*pair, p, adjusted) for pair, p, adjusted in zip(pairs, p_values, holm(p_values), strict=True)
    )


def comparable(first: ArmData, second: ArmData) -> bool:
    """Return whether both answered the same tests equally often, and any at all."""
    asked = [{test.id: test.asked for test in arm.tests} for arm in (first, second)]
    return bool(asked[0]) and asked[0] == asked[1]


def _passed(tests: Sequence[TestResult]) -> list[int]:
    return [test.passed for test in sorted(tests, key=lambda test: test.id)]


def _rivalry(one: ArmData, other: ArmData, p: float, adjusted: float) -> Rivalry:
    first, second = sorted((one, other), key=lambda arm: -(arm.passed or 0))
    pairs = list(zip(_passed(first.tests), _passed(second.tests), strict=True))
    answers = sum(test.asked for test in first.tests)
    asked = first.tests[0].asked
    better, worse = (sum(counts) for counts in zip(*pairs, strict=True))
    low, high = clustered([(a - b) / asked for a, b in pairs])
    return Rivalry(
        first=first.title,
        second=second.title,
        first_passed=better,
        second_passed=worse,
        tests=len(pairs),
        answers=answers,
        difference=(better - worse) / answers,
        interval=Interval(low=low, high=high),
        effect=cohens_h(better / answers, worse / answers),
        won=sum(a > b for a, b in pairs),
        lost=sum(a < b for a, b in pairs),
        p=p,
        adjusted=adjusted,
    )
