"""Look inside a checkpoint."""

from suture.steps import PlannedStep
from tasks.step import StepReference, as_result, build_step, step_task


@step_task(name="probe")
def probe(planned: PlannedStep) -> StepReference:
    """Read a 16-bit checkpoint's residual stream, and its losses by position."""
    return as_result(build_step(planned))
