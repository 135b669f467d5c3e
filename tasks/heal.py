"""Heal the merge."""

from suture.steps import PlannedStep
from tasks.artifacts import show_losses
from tasks.step import StepReference, as_result, build_step, step_task


@step_task(name="heal")
def heal(planned: PlannedStep) -> StepReference:
    """Train an adapter that closes the seam of the merge."""
    outcome = build_step(planned)
    show_losses(planned, outcome)
    return as_result(outcome)
