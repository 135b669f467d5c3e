"""How fast files may come in, all of them together."""

from __future__ import annotations

import threading
import time
from functools import cache

from suture.settings import settings


class Bandwidth:
    """A bucket of bytes that fills at a steady rate and holds nothing over: who takes some waits until they are in.

    Args:
        rate: Bytes per second; no limit when None.
    """

    def __init__(self, rate: int | None) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._free_at = 0.0  # when the bytes that were taken so far have come in

    def take(self, size: int) -> None:
        """Wait until so many more bytes may have come, in whichever thread they did."""
        if self._rate is None:
            return
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + size / self._rate
            wait = self._free_at - now
        time.sleep(wait)


@cache
def bandwidth() -> Bandwidth:
    """Return the one bucket of this process, as wide as SUTURE_DOWNLOAD_LIMIT says."""
    return Bandwidth(settings().download_limit)
