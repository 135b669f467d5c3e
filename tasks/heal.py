"""Heal the merge."""

from suture.steps import PlannedStep
from tasks.artifacts import show_losses
from tasks.handover import build_on_gpu
from tasks.step import StepReference, as_result, step_task


@step_task(name="heal")
def heal(planned: PlannedStep) -> StepReference:
    """Train an adapter that closes the seam of the merge: on the GPU worker if there is one, else here."""
    outcome = build_on_gpu(planned)
    show_losses(planned, outcome)
    return as_result(outcome)
