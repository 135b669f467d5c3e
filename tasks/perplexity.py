"""Measure perplexity."""

from suture.steps import PlannedStep
from tasks.step import StepReference, as_result, build_step, step_task


@step_task(name="perplexity")
def perplexity(planned: PlannedStep) -> StepReference:
    """Measure a GGUF's perplexity on held-out text."""
    return as_result(build_step(planned))
