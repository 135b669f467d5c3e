"""The browser of a run: one Chromium for all tasks, started anew when a page has brought it down.

Playwright speaks to Chromium through a program of its own, run by node. It starts that itself, and it ends when
its stdin closes: at the latest when we are gone, however we went.

Playwright's objects belong to the thread that made them, and a child must not outlive its thread: so one thread
does it all, and `Browser.do` lends it to whoever asks, from whatever thread, an event loop's included.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from suture.bench.frontend.chromium import Chromium, find_chromium, running
from suture.errors import HostError, ToolError

if TYPE_CHECKING:
    from playwright.sync_api import Browser as Connection
    from playwright.sync_api import Playwright

Result = TypeVar("Result")

_GRACE_SECONDS = 5.0
"""How long after Chromium's death Playwright may take to notice."""


@dataclass(frozen=True)
class Limits:
    """How long a page may take.

    Attributes:
        check: Seconds for one check, with loading the page anew.
        page: Seconds for all checks of one page.
    """

    check: float = 30.0
    page: float = 120.0


class Browser:
    """A Chromium that is started when it is first needed, and again after it died.

    Args:
        program: Chromium's; None to take the one that Playwright downloaded.
        limits: How long a page may take.
    """

    def __init__(self, program: Path | None, limits: Limits) -> None:
        self.limits = limits
        self._program = program
        self._thread = ThreadPoolExecutor(1, "browser")
        self._closed = False
        self._driver: Playwright | None = None
        self._driver_killed = False
        self._driver_process: set[int] = set()
        self._open = contextlib.ExitStack()
        self._chromium: Chromium | None = None
        self._connection: Connection | None = None

    # -- from any thread --------------------------------------------------------------------------------------

    def do(self, work: Callable[[], Result]) -> Result:
        """Return what `work` gives, run by the browser's own thread."""
        return self._thread.submit(work).result()

    def close(self) -> None:
        """End Chromium and the driver; whoever still waits for a page gets an error."""
        self._closed = True
        self._kill_chromium()
        ending = self._thread.submit(self._end)
        if wait([ending], _GRACE_SECONDS).not_done:
            self._kill_driver()
        ending.result()
        self._thread.shutdown()

    # -- in the browser's thread ------------------------------------------------------------------------------

    def start_driver(self) -> bool:
        """Start Playwright; return whether there is a Chromium for it."""
        from playwright.sync_api import sync_playwright

        before = _driver_processes()
        self._driver = sync_playwright().start()
        self._driver_killed = False
        self._driver_process = _driver_processes() - before
        if self._program is None:
            downloaded = Path(self._driver.chromium.executable_path)
            self._program = downloaded if downloaded.is_file() else None
        return self._program is not None

    def connection(self) -> Connection:
        """Return the running Chromium, or a new one.

        Raises:
            HostError: When the browser was closed meanwhile.
            ToolError: When Chromium does not start, or not answer.
        """
        self._require_open()
        if self._connection is None or self._driver_killed or not self._connection.is_connected():
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> Connection:
        from playwright.sync_api import Error

        self._stop_chromium()
        if self._driver_killed and self._driver is not None:
            self._driver.stop()
            self.start_driver()
        assert self._driver is not None  # noqa: S101 -- open_browser has seen to both
        assert self._program is not None  # noqa: S101
        self._chromium = self._open.enter_context(running(self._program))
        try:
            return self._driver.chromium.connect_over_cdp(self._chromium.endpoint)
        except Error as error:
            self._require_open()
            raise ToolError("Chromium starts, and does not answer.", where=self._program, found=error) from error

    def _require_open(self) -> None:
        if self._closed:
            raise HostError("The browser was closed while a page was examined.")

    def _kill_chromium(self) -> None:
        if self._chromium is not None:
            self._chromium.child.kill()

    def _kill_driver(self) -> None:
        self._driver_killed = True
        for process in self._driver_process & _driver_processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def _stop_chromium(self) -> None:
        self._connection = None
        self._open.close()

    def _end(self) -> None:
        self._stop_chromium()
        if self._driver is not None:
            self._driver.stop()

    @contextlib.contextmanager
    def at_most(self, seconds: float) -> Generator[threading.Event]:
        """Kill Chromium when the block takes longer; give the event that tells of it.

        A page that does not listen any more leaves Playwright waiting for ever; only this ends it. Some calls of
        Playwright wait on when Chromium dies under them, such as opening a page: then its driver is killed too.
        """
        self.connection()
        over = threading.Event()

        def kill() -> None:
            over.set()
            self._kill_chromium()

        timers = (
            threading.Timer(max(0.0, seconds), kill),
            threading.Timer(max(0.0, seconds) + _GRACE_SECONDS, self._kill_driver),
        )
        for timer in timers:
            timer.start()
        try:
            yield over
        finally:
            for timer in timers:
                timer.cancel()
                timer.join()


def _driver_processes() -> set[int]:
    """Return which of our children are drivers of Playwright, which keeps their ids to itself."""
    found: set[int] = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == os.getpid() and b"run-driver" in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
    return found


@contextlib.contextmanager
def open_browser(limits: Limits | None = None) -> Generator[Browser | None]:
    """Give a browser for the block; None where Playwright is not installed or no Chromium is found.

    Looked for are the program that SUTURE_CHROMIUM names, `chromium`, `chromium-browser` or `google-chrome` on the
    PATH, and what Playwright downloaded.

    Raises:
        ToolError: When the Chromium that SUTURE_CHROMIUM names is not there.
    """
    if importlib.util.find_spec("playwright") is None:
        yield None
        return
    browser = Browser(find_chromium(), limits or Limits())
    try:
        yield browser if browser.do(browser.start_driver) else None
    finally:
        browser.close()
