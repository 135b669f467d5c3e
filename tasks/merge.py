"""Merge the sources."""

from suture.steps import PlannedStep
from tasks.step import StepReference, as_result, build_step, step_task


@step_task(name="merge")
def merge(planned: PlannedStep) -> StepReference:
    """Make one checkpoint of several, with every input tensor accounted for."""
    return as_result(build_step(planned))
