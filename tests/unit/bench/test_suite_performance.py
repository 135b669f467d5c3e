from __future__ import annotations

from dataclasses import replace

import pytest

from suture.bench.suite import SUITE, Answer, Timing
from tests.unit.bench.answers import performance
from tests.unit.bench.answers.performance import STEADY
from tests.unit.bench.transcripts import found, score_answers

IDS = [test.id for test in SUITE if test.category == "performance"]


@pytest.mark.parametrize("test", IDS)
def test_a_steady_stream_passes_and_one_that_only_calls_itself_so_does_not(test: str) -> None:
    assert score_answers(found(test), performance.PERFECT[test]).passed
    assert score_answers(found(test), performance.ADVERSARY[test]).error_class == "stalls"


@pytest.mark.parametrize("test", IDS)
def test_nothing_else_is_asked_meanwhile(test: str) -> None:
    assert found(test).alone


@pytest.mark.parametrize(
    ("changes", "error_class"),
    [
        ({}, ""),
        ({"seconds": 64.0, "time_to_first_token": 5.0, "longest_gap": 3.0}, ""),  # a large model on a small machine
        ({"pieces": 8}, ""),  # eight tokens a piece
        ({"pieces": 7}, "stalls"),
        ({"pieces": 1, "longest_gap": None}, "stalls"),
        ({"time_to_first_token": 1.2}, "stalls"),  # collected, then sent piece by piece
        ({"seconds": 3.3, "longest_gap": 2.1}, "stalls"),
        ({"seconds": 1.9, "longest_gap": 1.9}, ""),  # short pauses are no stall
        ({"seconds": 20.0, "longest_gap": 4.9}, ""),
        ({"seconds": 20.0, "longest_gap": 5.1}, "stalls"),
        ({"tokens": 15}, "wrong_answer"),
        ({"tokens": None}, "wrong_answer"),
    ],
)
def test_streaming(changes: dict[str, float | None], error_class: str) -> None:
    answer = Answer("1 2 3", timing=replace(STEADY, **changes))
    assert score_answers(found("streaming"), [answer]).error_class == error_class


def speeds(*tokens_per_second: float | None, tokens: int = 64) -> list[Answer | str]:
    return [Answer("1 2", timing=Timing(tokens=tokens, tokens_per_second=speed)) for speed in tokens_per_second]


@pytest.mark.parametrize(
    ("answers", "error_class"),
    [
        (speeds(50, 50, 51, 49, 50, 52), ""),
        (speeds(5, 50, 51, 49, 50, 52), ""),  # the first one warms up
        (speeds(50, 40, 60, 40, 60, 50), ""),  # 20 %
        (speeds(50, 39, 61, 39, 61, 50), "stalls"),
        (speeds(50, 50, 50, 50, 50, 10), "stalls"),
        (speeds(50, 50, 50, 50, 50, None), "wrong_answer"),
        (speeds(50, tokens=8), "wrong_answer"),
    ],
)
def test_throughput(answers: list[Answer | str], error_class: str) -> None:
    assert score_answers(found("throughput"), answers).error_class == error_class


def test_throughput_asks_the_same_each_time() -> None:
    requests = list(found("throughput").talk())
    assert len(requests) == 6
    assert len(set(requests)) == 1


def test_words_do_not_count() -> None:
    assert (
        score_answers(found("streaming"), ["Streaming: first token after 0.1 s, no gaps."]).error_class
        == "wrong_answer"
    )
