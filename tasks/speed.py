"""Time the bare model."""

from suture.steps import PlannedStep
from tasks.step import StepReference, as_result, build_step, step_task


@step_task(name="speed")
def speed(planned: PlannedStep) -> StepReference:
    """Time a GGUF with llama-bench, alone on the machine."""
    return as_result(build_step(planned))
