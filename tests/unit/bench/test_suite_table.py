from __future__ import annotations

import pytest

from suture.bench.suite import SUITE, select
from suture.errors import RecipeError

BASIC = ("server-health", "exact-instruction", "factual-answer", "system-prompt", "clean-stop", "deterministic")
REASONING = ("math-word-problem", "logic-puzzle", "writes-code", "finds-bug")


def ids(*patterns: str) -> tuple[str, ...]:
    return tuple(test.id for test in select(patterns))


def test_the_suite_has_the_tests_of_the_specification() -> None:
    assert tuple(test.id for test in SUITE if test.category == "basic") == BASIC
    assert tuple(test.id for test in SUITE if test.category == "reasoning") == REASONING
    assert len(SUITE) == len(BASIC) + len(REASONING)


def test_ids_and_categories_are_one_name_space() -> None:
    names = [test.id for test in SUITE] + sorted({test.category for test in SUITE})
    assert len(set(names)) == len(names)


def test_selecting_keeps_the_order_of_the_suite_and_names_each_test_once() -> None:
    assert ids("basic", "reasoning") == ids("reasoning", "basic") == BASIC + REASONING
    assert ids("finds-bug", "clean-stop") == ("clean-stop", "finds-bug")
    assert ids("reasoning", "finds-bug", "finds-bug") == REASONING
    assert ids() == ()


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(RecipeError) as caught:
        select(["basic", "juggling", "telepathy"])
    message = str(caught.value)
    assert "juggling, telepathy" in message
    assert all(name in message for name in ("basic", "reasoning", *BASIC, *REASONING))


def test_every_first_question_fits_the_context_that_its_test_asks_for() -> None:
    for test in SUITE:
        request = next(test.talk())  # no tokenizer makes more than a token of two characters
        assert sum(len(message.content) for message in request.messages) < 2 * test.context, test.id
