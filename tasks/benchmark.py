"""Measure capability and speed."""

from suture.steps import PlannedStep
from tasks.artifacts import show_tests
from tasks.step import StepReference, as_result, build_step, step_task


@step_task(name="benchmark")
def benchmark(planned: PlannedStep) -> StepReference:
    """Let a GGUF answer the tests through llama-server."""
    outcome = build_step(planned)
    show_tests(planned, outcome)
    return as_result(outcome)
