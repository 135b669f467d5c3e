"""Fine-tune a model: a source before the merge, or the control of a heal."""

from suture.steps import PlannedStep
from tasks.artifacts import show_losses
from tasks.step import StepReference, as_result, build_step, step_task


@step_task(name="finetune")
def finetune(planned: PlannedStep) -> StepReference:
    """Train an adapter on a model that was not merged."""
    outcome = build_step(planned)
    show_losses(planned, outcome)
    return as_result(outcome)
