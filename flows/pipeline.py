"""From a recipe to healed, quantized and measured models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from suture.plan import check_disk, resolve
from suture.recipe import Recipe
from suture.settings import settings
from suture.steps import PlannedStep, store_of_this_machine
from tasks import STEP_TASKS
from tasks.artifacts import show_report
from tasks.labels import tag_run
from tasks.record import recorded
from tasks.report import ReportReference, report
from tasks.secrets import take_hub_token

_threads: Any = ThreadPoolTaskRunner(max_workers=settings().parallel_steps)  # Prefect's types do not admit its own


@flow(
    name="build_model",
    flow_run_name="{recipe.headline}",
    task_runner=_threads,
    persist_result=True,
    result_serializer="json",
)
def build_model(recipe: Recipe) -> ReportReference:
    """Merge, heal, quantize and measure language models as a recipe says, and report on all of them."""
    take_hub_token()
    plan = resolve(recipe)
    store = store_of_this_machine()
    check_disk(plan, store)
    tag_run(plan)
    with recorded(plan, store) as book:
        futures: dict[str, PrefectFuture] = {}
        for planned in in_waves(plan.steps):
            parents = [futures[parent.key] for parent in planned.parents]
            # quote: there are no futures inside for Prefect to look for
            futures[planned.key] = STEP_TASKS[planned.step].submit(quote(planned), wait_for=parents)
        book.close(futures)
        reference = report(book)
        show_report(store, reference["run"])
        return reference


def in_waves(steps: Sequence[PlannedStep]) -> list[PlannedStep]:
    """Return the steps by their distance from the sources.

    A thread that takes a step waits for its parents: in this order they are done, or in the hands of another thread.
    """
    depth: dict[str, int] = {}
    for step in steps:
        depth[step.key] = 1 + max((depth[parent.key] for parent in step.parents), default=0)
    return sorted(steps, key=lambda step: depth[step.key])
