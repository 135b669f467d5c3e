"""Convert to GGUF."""

from suture.steps import PlannedStep
from tasks.step import StepReference, as_result, build_step, step_task


@step_task(name="convert")
def convert(planned: PlannedStep) -> StepReference:
    """Convert a checkpoint to GGUF in bf16, with its provenance in the metadata."""
    return as_result(build_step(planned))
