"""Make importance matrices."""

from suture.steps import PlannedStep
from tasks.step import StepReference, as_result, build_step, step_task


@step_task(name="imatrix")
def imatrix(planned: PlannedStep) -> StepReference:
    """Make a GGUF's importance matrix with llama.cpp."""
    return as_result(build_step(planned))
