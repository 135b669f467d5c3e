"""Prepare training data."""

from suture.steps import PlannedStep
from tasks.step import StepReference, as_result, build_step, step_task


@step_task(name="dataset")
def dataset(planned: PlannedStep) -> StepReference:
    """Blend and tokenise the texts of a training."""
    return as_result(build_step(planned))
