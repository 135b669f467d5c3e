"""Quantize."""

from suture.steps import PlannedStep
from tasks.step import StepReference, as_result, build_step, step_task


@step_task(name="quantize")
def quantize(planned: PlannedStep) -> StepReference:
    """Quantize a GGUF with llama.cpp."""
    return as_result(build_step(planned))
