"""Several files fetched at once, and how far each of them is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from suture.hub.download import RemoteFile
from suture.progress import Pace, Progress, human_bytes, human_seconds

_TICK = 0.2
"""Seconds between two looks at how far the files are."""
_LINE_SECONDS = 30.0
"""Between two lines on one file; a file that takes less time gets none."""


Receive = Callable[[RemoteFile, Callable[[int], None], Callable[[int], None]], None]
"""Fetches one file; what else it takes are `on_bytes` and `on_wait` of `suture.hub.download.download`."""


class _EndedError(Exception):
    """Another file failed, or the user wants no more."""


def receive_all(files: Sequence[RemoteFile], receive: Receive, at_once: int, progress: Progress) -> None:
    """Fetch files, several at once, and tell from this thread how far they are.

    Args:
        files: What to fetch.
        receive: Fetches one of them.
        at_once: How many at the same time.
        progress: Is told the bytes of all files together, and a line on each that takes long.

    Raises:
        Exception: The first failure of `receive`; the other files are given up at their next block.
    """
    end = threading.Event()
    tallies = [_Tally(file, end) for file in files]
    total = sum(file.size for file in files)
    with ThreadPoolExecutor(at_once, thread_name_prefix="fetch") as pool:
        pending: set[Future[None]] = {pool.submit(tally.run, receive) for tally in tallies}
        try:
            while pending:
                finished, pending = wait(pending, timeout=_TICK, return_when=FIRST_COMPLETED)
                whole = f"{sum(tally.is_whole for tally in tallies)} of {len(files)} files"
                progress.update(sum(tally.done for tally in tallies), total, "bytes", whole)
                for tally in tallies:
                    tally.tell(progress)
                for job in finished:
                    job.result()
        except BaseException:
            end.set()
            pool.shutdown(cancel_futures=True)
            raise


class _Tally:
    """How far one file is: counted in the thread that fetches it, told in the one that waits."""

    def __init__(self, file: RemoteFile, end: threading.Event) -> None:
        self.done = 0
        self.is_whole = False
        self._file = file
        self._end = end
        self._pace = Pace()
        self._began: float | None = None
        self._wait = 0  # seconds that the hub asks for, not yet told
        self._told: float | None = None  # when there last was a line on it, or it began

    def run(self, receive: Receive) -> None:
        """Fetch the file."""
        if self._end.is_set():
            return
        self._began = self._told = time.monotonic()
        receive(self._file, self._count, self._ask_to_wait)
        self.is_whole = True

    def tell(self, progress: Progress) -> None:
        """Say how far the file is, if it takes long and nothing was said for a while."""
        if self._wait:
            progress.say(f"{self._file.name}: the hub asks to wait {human_seconds(self._wait)}")
            self._wait = 0
        if self._began is None or self._told is None:
            return
        now, line = time.monotonic(), self._pace.describe(self.done, self._file.size, "bytes")
        if self.is_whole:
            if now - self._began >= _LINE_SECONDS:
                took = human_seconds(now - self._began)
                progress.say(f"{self._file.name}: {human_bytes(self._file.size)} fetched and verified in {took}")
            self._told = None
        elif now - self._told >= _LINE_SECONDS:
            self._told = now
            progress.say(f"{self._file.name}: {line}")

    def _count(self, size: int) -> None:
        if self._end.is_set():
            raise _EndedError
        self.done += size

    def _ask_to_wait(self, seconds: int) -> None:
        self._wait = seconds
