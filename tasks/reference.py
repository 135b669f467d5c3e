"""Take in a finished GGUF."""

from suture.steps import PlannedStep
from tasks.step import StepReference, as_result, build_step, step_task


@step_task(name="reference")
def reference(planned: PlannedStep) -> StepReference:
    """Bring a GGUF that the user names into the store, to be measured beside the others."""
    return as_result(build_step(planned))
