from __future__ import annotations

import pytest

from suture.bench.suite import SUITE, Answer, Failure, Server, Test, Transcript, grade
from tests.unit.bench.transcripts import HEALTHY, lead, score_answers

ALL = pytest.mark.parametrize("test", SUITE, ids=lambda test: test.id)
ENDLESS = "and so on, " * 400


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("Mars", "Mars"),
        ("  Mars \n", "Mars"),
        ("<think>Venus?</think>Mars", "Mars"),
        ("<think>Venus?</think>\n\nMars<think>or not</think>", "Mars"),
        ("<THINKING>Venus?</THINKING> Mars", "Mars"),
        ("Venus? No.</think>Mars", "Mars"),  # the template opened the tag in the prompt
        ("Mars <think>but wait", "Mars"),  # never closed
        ("<think>Mars", ""),
        ("<think></think>", ""),
        ("a < b and b > c", "a < b and b > c"),
    ],
)
def test_thinking_tags_are_not_visible(text: str, visible: str) -> None:
    assert Answer(text).visible == visible


@ALL
def test_an_empty_answer_fails_every_test(test: Test) -> None:
    score = score_answers(test, [""])
    assert (score.passed, score.error_class) == (False, "no_answer")


@ALL
def test_an_answer_within_thinking_tags_fails_every_test(test: Test) -> None:
    right = "suture-suture-suture Mars spring OVER Answer: 31 Hana, Ivo, Emma, Grace, Farid range(1, n + 1)"
    for answer in (Answer(f"<think>{right}</think>"), Answer("", thinking=right)):
        score = score_answers(test, [answer])
        assert (score.passed, score.error_class) == (False, "no_answer")


@ALL
def test_thoughts_that_use_up_the_token_limit_are_told_apart_from_silence(test: Test) -> None:
    answer = Answer("<think>Let me see", finish="length")
    assert score_answers(test, [answer]).error_class == "length"


@ALL
@pytest.mark.parametrize("failure", ["timeout", "server_error"])
def test_what_failed_on_the_way_is_scored_as_that(test: Test, failure: Failure) -> None:
    answer = Answer("Mars", finish="", failure=failure, detail="scripted")
    score = grade(test, Transcript((answer,), HEALTHY))
    assert (score.passed, score.error_class, score.why) == (False, failure, "scripted")


@ALL
def test_a_refusal_fails_what_has_a_right_answer(test: Test) -> None:
    refusal = "I'm sorry, but I can't help with that request."
    passed = score_answers(test, [refusal]).passed
    assert passed == (test.id in {"server-health", "clean-stop", "deterministic"})


@ALL
def test_endless_output_fails_what_has_a_right_answer(test: Test) -> None:
    passed = score_answers(test, [Answer(ENDLESS, finish="length")]).passed
    assert passed == (test.id in {"server-health", "deterministic"})


@ALL
def test_scoring_is_a_function_of_the_transcript(test: Test) -> None:
    said = lead(test, ["Line 4: the order is 31."])
    assert grade(test, said) == grade(test, said)


@ALL
def test_the_error_class_is_empty_exactly_when_the_test_passed(test: Test) -> None:
    for text in ("", "suture-suture-suture", "Mars", "It is spring. OVER", "Answer: 31", "no idea"):
        for server in (HEALTHY, Server(models=())):
            score = score_answers(test, [text], server)
            assert score.passed == (score.error_class == "")
            assert score.why
