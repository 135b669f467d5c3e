"""Fetch a data set."""

from suture.steps import PlannedStep
from tasks.step import StepReference, as_result, build_step, step_task


@step_task(name="fetch_dataset")
def fetch_dataset(planned: PlannedStep) -> StepReference:
    """Bring the files of a data set into the store, checked against their pinned digests."""
    return as_result(build_step(planned))
