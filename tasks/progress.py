"""Progress of a step, shown wherever somebody may look: the terminal, the run's log, the run's page."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Generator
from contextvars import ContextVar, copy_context
from typing import Protocol, cast
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.logging import get_run_logger

from suture.errors import SutureError
from suture.process import stopping
from suture.progress import Pace, Progress

_LOG_SECONDS = 15.0
"""Between two lines in the run's log: logs stay short, the tools' own output lies in the artifact."""

_BAR_SECONDS = 5.0
"""Between two moves of the bar on the run's page, and before it appears: short steps get none."""

_END_SECONDS = 10.0
"""How long the end of a step waits for the server to take note of it."""


class Viewer(Protocol):
    """Watches the steps of the run in this process; `suture run` shows them on the terminal."""

    def start(self, label: str) -> Progress:
        """Report that a step has begun; returns where its progress goes."""
        ...

    def finish(self, label: str, outcome: str) -> None:
        """Report how it ended: `cached`, `3.2 s`, `failed`."""
        ...


viewer: ContextVar[Viewer | None] = ContextVar("viewer", default=None)
"""Who watches; nobody, where a worker runs the flow. A ContextVar, as Prefect hands those on to its threads."""


class Stopped(KeyboardInterrupt):
    """The run is to end now."""


class StepView:
    """Receives one step's progress. Belongs to the task's thread."""

    def __init__(self, label: str, terminal: Progress | None) -> None:
        self._label = label
        self._terminal = terminal
        self._logger = get_run_logger()
        self._pace = Pace()
        self._logged = self._moved = time.monotonic()
        self._bar = _Bar(label)
        self._note = ""
        self.outcome = "failed"

    def update(self, done: float, total: float, unit: str, note: str = "") -> None:
        """Pass on how far the step is, to each place at its own pace."""
        if stopping.is_set():
            raise Stopped
        self._note = note
        if self._terminal is not None:
            self._terminal.update(done, total, unit, note)
        line = self._pace.describe(done, total, unit, note)
        now = time.monotonic()
        if now - self._logged >= _LOG_SECONDS and 0 < done != total:  # begin and end are told by the task
            self._logged = now
            self._logger.info(line)
        if now - self._moved >= _BAR_SECONDS and total > 0:
            self._moved = now
            self._bar.move(100 * done / total, line)

    def say(self, message: str) -> None:
        """Pass on one line."""
        if self._terminal is not None:
            self._terminal.say(message)
        self._logger.info(message)

    def finish(self, *, cached: bool, seconds: float) -> None:
        """Note how the step ended."""
        self.outcome = "cached" if cached else f"{seconds:.1f} s"
        self._bar.end(f"{self.outcome}  {self._note}")


class _Bar:
    """The bar on the run's page. The server may be away for minutes: the step waits for none of its answers."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._artifact: UUID | None = None
        self._posting: threading.Thread | None = None

    def move(self, percent: float, line: str) -> None:
        """Move the bar, unless the server has yet to answer to an earlier move."""
        if self._posting is None or not self._posting.is_alive():
            arguments = (self._post, percent, f"{self._label}: {line.strip()}")
            self._posting = threading.Thread(target=copy_context().run, args=arguments, daemon=True)
            self._posting.start()

    def end(self, line: str) -> None:
        """Move the bar to its end, if there is one; waits for it, but not for a server that is away."""
        if self._posting is not None:
            self._posting.join(_END_SECONDS)
            self.move(100, line)
            self._posting.join(_END_SECONDS)

    def _post(self, percent: float, text: str) -> None:
        with contextlib.suppress(httpx.HTTPError):
            if self._artifact is None:
                self._artifact = cast("UUID", create_progress_artifact(percent, description=text))
            else:
                update_progress_artifact(self._artifact, percent, description=text)


@contextlib.contextmanager
def shown(label: str) -> Generator[StepView]:
    """Show a step while the block runs; a block that does not call `finish` has failed."""
    if stopping.is_set():
        raise Stopped
    watching = viewer.get()
    view = StepView(label, watching.start(label) if watching else None)
    try:
        yield view
    except SutureError as error:
        view.outcome = f"failed: {error.problem}"
        if stopping.is_set():  # its child was ended under it
            view.outcome = "stopped"
            raise Stopped from error
        raise
    except Stopped:
        view.outcome = "stopped"
        raise
    finally:
        if watching:
            watching.finish(label, view.outcome)
