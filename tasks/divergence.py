"""Measure quantization loss."""

from suture.steps import PlannedStep
from tasks.step import StepReference, as_result, build_step, step_task


@step_task(name="divergence")
def divergence(planned: PlannedStep) -> StepReference:
    """Compare a quantized GGUF's predictions with those of its 16-bit file."""
    return as_result(build_step(planned))
