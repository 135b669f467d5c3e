"""Train here: what the worker with the GPU does of a heal."""

from suture.steps import PlannedStep, store_of_this_machine
from tasks.artifacts import show_losses
from tasks.step import StepReference, as_result, build_step, step_task


@step_task(name="train")
def train(planned: PlannedStep) -> StepReference:
    """Train an adapter on this machine; a network that is away for a while is waited for."""
    store = store_of_this_machine()
    if store.remote is not None:
        store.remote.forget(planned.key, store)  # who asked looks there, and what this store remembers may be old
    outcome = build_step(planned)
    show_losses(planned, outcome)
    return as_result(outcome)
