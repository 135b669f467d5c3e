"""Train here: what the worker with the GPU does of a heal."""

from suture.steps import PlannedStep
from tasks.artifacts import show_losses
from tasks.step import StepReference, as_result, build_step, step_task


@step_task(name="train")
def train(planned: PlannedStep) -> StepReference:
    """Train an adapter on this machine; a network that is away for a while is waited for."""
    outcome = build_step(planned)
    show_losses(planned, outcome)
    return as_result(outcome)
