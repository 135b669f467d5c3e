"""Several calls at once, their results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(function: Callable[[Item], Result], items: Iterable[Item], window: int) -> Generator[Result]:
    """Yield `function` of each item in order, with at most `window` calls begun and not yet yielded.

    `items` is read no faster than that, so that no more than `window` of them are in memory.
    """
    pending: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(window, thread_name_prefix="transfer")
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) == window:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # who gives up does not wait for what is on its way
