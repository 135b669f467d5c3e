"""Threads that take the chunks of a tensor in turn; numpy gives up the interpreter's lock while it computes."""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self, TypeVar

T = TypeVar("T")

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_KEPT = {_M_TRIM_THRESHOLD: 256 * 2**20, _M_TOP_PAD: 16 * 2**20, _M_MMAP_THRESHOLD: 32 * 2**20}
"""Bytes: what glibc's malloc keeps for the next chunk, and from which size on it asks the kernel."""

_AHEAD = 4
"""Results per thread that may wait to be taken: they bound the memory."""


class Workers:
    """A pool of threads, to be used in a `with` block.

    Args:
        threads: How many.
    """

    def __init__(self, threads: int) -> None:
        _keep_memory()
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


def _keep_memory() -> None:
    """Have malloc keep the memory of a chunk for the next one.

    By default it gives such arrays back to the kernel, which has to clear their pages again a moment later: two
    thirds of the time of a linear merge.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # not in musl
    if mallopt is not None:
        for parameter, size in _KEPT.items():
            mallopt(parameter, size)
