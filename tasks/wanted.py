"""Joining the run of a deployment that makes what is wanted, or starting one.

The idempotency key is what is wanted, with a number that counts the runs that ended: two who ask at once get the same
run, and one that failed keeps nobody from trying again. A tag tells which of the two has started it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import uuid4

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.runtime import flow_run as this_run

_THIS_PROCESS = str(uuid4())
"""Stands for the flow run where there is none: `suture sweep` asks from a process of its own."""


@dataclass(frozen=True)
class Wanted:
    """Something that a deployment's run makes.

    Attributes:
        key: What is wanted; of equal ones only one is being made.
        tag: What marks the runs that make it.
        running: The run that is making it now.
        attempt: The number of the next run.
        asker: What marks the runs that were started from here.
    """

    key: str
    tag: str
    running: FlowRun | None
    attempt: int
    asker: str

    @classmethod
    def look(cls, client: SyncPrefectClient, key: str, tag: str) -> Wanted:
        """Ask the server which runs there were."""
        runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(all_=[tag])))
        running = next((run for run in runs if run.state is None or not run.state.is_final()), None)
        attempt = 1 + max(map(_attempt, runs), default=0)
        return cls(key, tag, running, attempt, f"asked-by:{this_run.id or _THIS_PROCESS}")

    def start(
        self, deployment: str, parameters: dict[str, Any], tags: Sequence[str], name: str | None = None
    ) -> FlowRun:
        """Start a run as a subflow of this one, and do not wait for it; or get the one that another has just started.

        Args:
            deployment: What makes it, as `flow/deployment`.
            parameters: Of the run.
            tags: Of the run, besides the one that marks it.
            name: Of the run; the flow's own choice when not given.

        Raises:
            ObjectNotFound: When there is no such deployment.
            PrefectHTTPStatusError: When it refuses the parameters.
        """
        run = run_deployment(
            deployment,
            parameters=parameters,
            flow_run_name=name,
            tags=[self.tag, self.asker, *tags],
            idempotency_key=f"{self.key}-{self.attempt}",
            as_subflow=True,
            timeout=0,
        )
        return cast("FlowRun", run)  # a coroutine only where an event loop runs, which a task's thread has not

    def is_own(self, run: FlowRun) -> bool:
        """Return whether a run was started from here, now or at an earlier try, and not by another."""
        return self.asker in run.tags


def _attempt(run: FlowRun) -> int:
    found = re.search(r"-(\d+)$", run.idempotency_key or "")
    return int(found[1]) if found else 0
