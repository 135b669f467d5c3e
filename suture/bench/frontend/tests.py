"""The tasks as tests: asked like any other, passed when every check of the page that could be made holds."""

from __future__ import annotations

from suture.bench.frontend import TASKS
from suture.bench.frontend.form import Task
from suture.bench.suite.form import Message, Request, Score, Test, Transcript, asks, right, wrong

_PAGE_TOKENS = 16_384
"""A whole page with its styles and scripts takes 4 to 10 thousand."""


def score_page(transcript: Transcript) -> Score:
    """Every check that was made holds, and some were."""
    checks = transcript.checks
    failed = [check for check in checks if check.outcome == "failed"]
    made = sum(check.outcome != "skipped" for check in checks)
    skipped = f", {len(checks) - made} skipped for want of a browser" if made < len(checks) else ""
    held = f"{made - len(failed)} of {made} checks hold{skipped}"
    if failed:
        names = ", ".join(check.id for check in failed)
        return wrong("length" if transcript.cut_off else "checks", f"{held}; not {names}")
    return right(held) if made else wrong("not_run", f"no check could be made{skipped}")


def _test(task: Task) -> Test:
    return Test(
        id=task.id,
        category="frontend",
        title=task.title,
        talk=asks(Request((Message("user", task.prompt),), max_tokens=_PAGE_TOKENS)),
        score=score_page,
        context=1024,  # of the question; a page that does not fit into the rest is cut off, and scored so
    )


FRONTEND: tuple[Test, ...] = tuple(map(_test, TASKS))
