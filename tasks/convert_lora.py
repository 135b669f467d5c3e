"""Convert adapters to GGUF."""

from suture.steps import PlannedStep
from tasks.step import StepReference, as_result, build_step, step_task


@step_task(name="convert_lora")
def convert_lora(planned: PlannedStep) -> StepReference:
    """Convert an adapter to a GGUF LoRA, to be served beside the quantized model."""
    return as_result(build_step(planned))
