from __future__ import annotations

from collections import Counter

import pytest

from suture.bench.suite import SUITE, select
from suture.bench.suite.table import MULTI_TURN, SUITES
from suture.errors import RecipeError

BASIC = ("server-health", "exact-instruction", "factual-answer", "system-prompt", "clean-stop", "deterministic")
REASONING = ("math-word-problem", "logic-puzzle", "writes-code", "finds-bug")
STRUCTURED = ("json-schema", "markdown-table")
PROGRAMMING = (
    "quicksort",
    "two-sum",
    "balanced-parentheses",
    "longest-substring",
    "climbing-stairs",
    "lru-cache",
    "tree-inorder",
    "graph-bfs",
    "subtle-bug",
    "recursive-to-iterative",
    "javascript",
    "sql",
    "writes-tests",
    "complexity",
    "group-anagrams",
)
PERFORMANCE = ("streaming", "throughput")
COUNTS = {
    "basic": 6,
    "reasoning": 4,
    "tools": 6,
    "agentic": 4,
    "structured": 2,
    "context": 3,
    "multilingual": 2,
    "programming": 15,
    "performance": 2,
}


def ids(*patterns: str) -> tuple[str, ...]:
    return tuple(test.id for test in select(patterns))


def test_the_suite_has_the_tests_of_the_specification() -> None:
    assert ids("basic") == BASIC
    assert ids("reasoning") == REASONING
    assert ids("structured") == STRUCTURED
    assert ids("programming") == PROGRAMMING
    assert ids("performance") == PERFORMANCE


def test_the_suite_has_as_many_tests_as_the_specification_in_its_order() -> None:
    assert list(Counter(test.category for test in SUITE).items()) == list(COUNTS.items())
    assert len(SUITE) == 44


def test_ids_and_categories_are_one_name_space() -> None:
    tests = [*SUITE, *MULTI_TURN, *select(["human_eval"])]
    names = [*(test.id for test in tests), *{"smoke", *SUITES, *(test.category for test in tests)}]
    assert len(set(names)) == len(names)


def test_selecting_keeps_the_order_of_the_suite_and_names_each_test_once() -> None:
    assert ids("basic", "reasoning") == ids("reasoning", "basic") == BASIC + REASONING
    assert ids("finds-bug", "clean-stop") == ("clean-stop", "finds-bug")
    assert ids("reasoning", "finds-bug", "finds-bug") == REASONING
    assert ids() == ()
    assert select(["capability"]) == SUITE
    assert ids("capability", "human-eval-1", "basic") == (*(test.id for test in SUITE), "human-eval-1")


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(RecipeError) as caught:
        select(["basic", "juggling", "telepathy"])
    message = str(caught.value)
    assert "juggling, telepathy" in message
    assert all(name in message for name in (*SUITES, "smoke", *COUNTS))


def test_every_first_question_fits_the_context_that_its_test_asks_for() -> None:
    for test in SUITE:
        request = next(test.talk())  # English has about four characters in a token
        assert sum(len(message.content) for message in request.messages) < 3 * test.context, test.id
