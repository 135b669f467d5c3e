from __future__ import annotations

import threading

import pytest

from suture.merge.workers import Workers


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_order(threads: int) -> None:
    with Workers(threads) as workers:
        assert list(workers.map(lambda number: number * number, range(200))) == [n * n for n in range(200)]


def test_work_is_done_by_several_threads_at_once() -> None:
    both = threading.Barrier(2, timeout=30)
    with Workers(2) as workers:
        assert list(workers.map(lambda _: both.wait() >= 0, range(2))) == [True, True]


def test_no_more_than_a_few_results_wait() -> None:
    done: list[int] = []
    with Workers(2) as workers:
        results = workers.map(done.append, range(10_000))
        next(results)
        assert len(done) < 50
        results.close()


def test_an_error_reaches_the_caller() -> None:
    with Workers(2) as workers, pytest.raises(ZeroDivisionError):
        list(workers.map(lambda number: 1 // number, range(3)))
