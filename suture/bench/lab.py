"""Where what a model wrote is tried out before it is scored: code in the sandbox, pages in a browser."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

from suture.bench.runner import Examine
from suture.bench.sandbox import run_program
from suture.bench.suite import Test, Transcript

FRONTEND = "frontend"


def run_programs(test: Test, transcript: Transcript) -> Transcript:
    """Run the test's programs in the sandbox."""
    return replace(transcript, executions=tuple(map(run_program, test.programs(transcript))))


@contextlib.contextmanager
def open_lab(tests: Sequence[Test], shots: Path) -> Generator[Examine]:
    """Give what tries answers out, with a browser for the block if any test is about a page.

    Args:
        tests: What will be asked.
        shots: Folder that gets the screenshots of pages.
    """
    if all(test.category != FRONTEND for test in tests):
        yield run_programs
        return
    from suture.bench.frontend import TASKS, examine, open_browser

    tasks = {task.id: task for task in TASKS}
    with open_browser() as browser:

        def try_out(test: Test, transcript: Transcript) -> Transcript:
            if test.category != FRONTEND:
                return run_programs(test, transcript)
            return replace(transcript, checks=examine(tasks[test.id], transcript.answers[-1].text, browser, shots))

        yield try_out
