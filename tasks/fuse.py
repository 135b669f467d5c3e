"""Fuse an adapter."""

from suture.steps import PlannedStep
from tasks.step import StepReference, as_result, build_step, step_task


@step_task(name="fuse")
def fuse(planned: PlannedStep) -> StepReference:
    """Add a trained adapter to the 16-bit weights it was trained on."""
    return as_result(build_step(planned))
