"""Fetch a source."""

from suture.steps import PlannedStep
from tasks.step import StepReference, as_result, build_step, step_task


@step_task(name="fetch")
def fetch(planned: PlannedStep) -> StepReference:
    """Bring a source's checkpoint into the store, checked against its pinned digests."""
    return as_result(build_step(planned))
