"""Threads that take the chunks of a tensor in turn; numpy gives up the interpreter's lock while it computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self, TypeVar

T = TypeVar("T")

_AHEAD = 4
"""Results per thread that may wait to be taken: they bound the memory."""


class Workers:
    """A pool of threads, to be used in a `with` block.

    Args:
        threads: How many.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[[int], T], items: Iterable[int]) -> Generator[T]:
        """Yield the function's results in the order of the items, like the built-in map."""
        if self._threads == 1:
            yield from map(function, items)
            return
        waiting: deque[Future[T]] = deque()
        for item in items:
            waiting.append(self._pool.submit(function, item))
            if len(waiting) > _AHEAD * self._threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
