"""Write down predictions."""

from suture.steps import PlannedStep
from tasks.step import StepReference, as_result, build_step, step_task


@step_task(name="logits")
def logits(planned: PlannedStep) -> StepReference:
    """Write down what a 16-bit GGUF predicts, for its quantizations to be compared with."""
    return as_result(build_step(planned))
