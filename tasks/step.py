"""What every step's task has in common: how it is tried, what it returns, what it shows."""

from __future__ import annotations

import functools
from typing import Any, TypedDict

from prefect import State, Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.states import Completed
from prefect.tasks import exponential_backoff

from suture.errors import TransientError
from suture.steps import Outcome, PlannedStep, build, store_of_this_machine
from tasks.progress import shown


class StepReference(TypedDict):
    """What a task returns: where the artifact is found in any store that has it. No path, no tensor."""

    key: str
    digest: str
    cached: bool
    seconds: float


def is_transient(_task: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    """Return whether what failed is worth trying again; a bad recipe is not."""
    return isinstance(state.data, TransientError)


step_task = functools.partial(
    task,
    # The store decides what is done already. Prefect's own cache would hold the run's id or collide across tasks.
    cache_policy=NO_CACHE,
    persist_result=True,
    result_serializer="json",
    retries=3,
    retry_delay_seconds=exponential_backoff(backoff_factor=2),
    retry_jitter_factor=0.3,
    retry_condition_fn=is_transient,
    task_run_name="{planned.label}",
)
"""Prefect's `@task` as every step takes it."""


def build_step(planned: PlannedStep) -> Outcome:
    """Build a step's artifact or find it in the store, showing progress."""
    with shown(planned.label) as view:
        outcome = build(planned, store_of_this_machine(), view)
        view.finish(cached=outcome.cached, seconds=outcome.seconds)
    return outcome


def as_result(outcome: Outcome) -> Any:  # noqa: ANN401 -- Prefect unwraps a returned state
    """Return a step's reference; for a hit as a state that says Cached."""
    reference = StepReference(
        key=outcome.artifact.key,
        digest=outcome.artifact.manifest.digest,
        cached=outcome.cached,
        seconds=round(outcome.seconds, 3),
    )
    if outcome.cached:
        return Completed(name="Cached", message=outcome.artifact.key, data=reference)
    return reference
