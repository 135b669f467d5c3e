"""What this machine may lack to run what a model wrote: then a test is skipped, and not failed."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from suture.bench.sandbox import Execution

_LACKING = {
    "no_runner": "needs node: apt install nodejs",
    "no_sandbox": "needs bubblewrap or Landlock, neither of which works here",
}


def require_run(executions: Iterable[Execution]) -> None:
    """Skip the test unless everything was run."""
    for execution in executions:
        if execution.outcome in _LACKING:
            pytest.skip(_LACKING[execution.outcome])
