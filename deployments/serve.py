"""`python -m deployments.serve worker start ...`: Prefect's command line, with a worker that does more.

It tells the server once that a run's process was killed. Prefect's worker (3.8.8) tells it twice, the second time
when it has loaded the flow: whoever had started the run again by then saw the new attempt marked as crashed. It tells
what to do about it. And it ends what a killed run has left behind on this machine, and says of a run that was taken
for lost that it lives.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import threading
from typing import Any

from prefect.client.schemas.objects import FlowRun, State
from prefect.runner._state_proposer import StateProposer
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker, ProcessWorkerResult

from deployments.automations import AGAIN
from deployments.history import revive_living_runs
from deployments.state import AWAY
from suture.orphans import end_orphans

_ORPHANS_SECONDS = 5.0

_run, _propose_crashed = ProcessWorker.run, StateProposer.propose_crashed


async def _run_told_once(
    self: ProcessWorker,
    flow_run: FlowRun,
    configuration: ProcessJobConfiguration,
    task_status: Any = None,  # noqa: ANN401 -- anyio's, which is not ours to import
) -> ProcessWorkerResult:
    """Run a flow run as Prefect does; what calls this would tell of a bad end what was told already."""
    result = await _run(self, flow_run, configuration, task_status=task_status)
    return result.model_copy(update={"status_code": 0})


async def _propose_crashed_with_way_out(self: StateProposer, flow_run: FlowRun, message: str) -> State[Any] | None:
    return await _propose_crashed(self, flow_run, f"{message} {AGAIN}")


def _watch() -> None:
    waiting = threading.Event()
    while not waiting.wait(_ORPHANS_SECONDS):
        end_orphans()
        with contextlib.suppress(*AWAY):  # the server is away
            revive_living_runs(os.environ["PREFECT_API_URL"])


def main() -> None:
    """Become Prefect's command line."""
    ProcessWorker.run = _run_told_once
    StateProposer.propose_crashed = _propose_crashed_with_way_out
    threading.Thread(target=_watch, daemon=True, name="orphans").start()
    runpy.run_module("prefect", run_name="__main__")


if __name__ == "__main__":
    main()
