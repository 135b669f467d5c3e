"""Examines an answer: the static checks on its text, the others in the browser, and three pictures."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from suture.bench.frontend.browser import Browser
from suture.bench.frontend.document import Document, find_page
from suture.bench.frontend.form import BrowserCheck, Check, NotAsAskedError, StaticCheck, Task
from suture.bench.frontend.page import PHONE
from suture.bench.frontend.visit import Visit
from suture.bench.suite.form import CheckResult, Outcome

NO_BROWSER = "no browser: needs Playwright (suture[browser]) and Chromium (apt install chromium)"
NO_PAGE = "there is no page in the answer"

_FATAL = 3
"""A page that brought the browser down so often, or while it was loading, fails its remaining checks unseen."""


def examine(task: Task, answer: str, browser: Browser | None, shots: Path) -> tuple[CheckResult, ...]:
    """Return what came of each of a task's checks, in their order.

    May be called from any thread, and waits for the browser.

    Args:
        task: What was asked.
        answer: All the model said; thoughts at its beginning are passed over.
        browser: Where the page is loaded; None skips the checks that need it.
        shots: Folder that gets `<task>-start.png`, `<task>-interaction.png` and `<task>-375.png`.
    """
    html = find_page(answer)
    if not html:
        return tuple(_result(check, "failed", NO_PAGE) for check in task.checks)
    document = Document.parse(html)
    results = {check.id: _static(check, document) for check in task.checks if isinstance(check, StaticCheck)}
    checks = [check for check in task.checks if isinstance(check, BrowserCheck)]
    if browser is None:
        results |= {check.id: _result(check, "skipped", NO_BROWSER) for check in checks}
    else:
        shots.mkdir(parents=True, exist_ok=True)
        results |= browser.do(lambda: _Examination(task, html, browser, shots).run(checks))
    return tuple(results[check.id] for check in task.checks)


def _result(check: Check, outcome: Outcome, why: str) -> CheckResult:
    return CheckResult(check.id, check.title, check.kind, outcome, why)


def _static(check: StaticCheck, document: Document) -> CheckResult:
    try:
        return _result(check, "passed", check.run(document))
    except NotAsAskedError as error:
        return _result(check, "failed", str(error))


class _Examination:
    """One page in the browser; runs in the browser's thread."""

    def __init__(self, task: Task, html: str, browser: Browser, shots: Path) -> None:
        self._task = task
        self._browser = browser
        self._shots = shots
        self._visit = Visit(browser, f"https://suture.test/{task.id}.html", html)
        self._deadline = time.monotonic() + browser.limits.page
        self._breakdowns = 0
        self._given_up = ""

    def run(self, checks: list[BrowserCheck]) -> dict[str, CheckResult]:
        """Take the pictures, then run the checks, each on the page as loaded anew."""
        self._attempt(self._take_pictures)
        results = {check.id: self._check(check) for check in checks}
        with contextlib.suppress(_playwright_error()):
            self._visit.close()
        return results

    def _check(self, check: BrowserCheck) -> CheckResult:
        if self._given_up:
            return _result(check, "failed", self._given_up)
        if time.monotonic() > self._deadline:
            return _result(check, "failed", f"the page's {self._browser.limits.page:.0f} s were over")
        seen: list[str] = []
        failure = self._attempt(lambda: seen.append(check.run(self._visit.load())))
        return _result(check, "passed", seen[0]) if failure is None else _result(check, "failed", failure)

    def _attempt(self, work: Callable[[], None]) -> str | None:
        """Do something with the page within its time; return why that failed, None when it did not."""
        seconds = min(self._browser.limits.check, self._deadline - time.monotonic())
        with self._browser.at_most(seconds) as over:
            try:
                work()
            except NotAsAskedError as error:
                why = str(error)
            except _playwright_error() as error:
                why = str(error).strip().split("\n")[0]
            else:
                return None
        if over.is_set():
            why = self._broken_down(f"the page did not answer within {seconds:.0f} s; the browser was ended")
        elif self._visit.crashed:
            why = self._broken_down("the page crashed: it took more memory than it may, or hit a bug of the browser")
        return why

    def _broken_down(self, why: str) -> str:
        self._breakdowns += 1
        if self._visit.loading or self._breakdowns >= _FATAL:
            self._given_up = why
        return why

    def _take_pictures(self) -> None:
        page = self._visit.load()
        page.resize(PHONE)
        self._picture("375", page.shoot())
        page = self._visit.load()
        self._picture("start", page.shoot())
        with contextlib.suppress(NotAsAskedError, _playwright_error()):
            self._task.interaction(page)
        self._picture("interaction", page.shoot())

    def _picture(self, name: str, png: bytes) -> None:
        (self._shots / f"{self._task.id}-{name}.png").write_bytes(png)


def _playwright_error() -> type[Exception]:
    from playwright.sync_api import Error

    return Error
