"""One training, for the worker that has a GPU."""

from __future__ import annotations

from typing import Any

from prefect import flow

from suture.order import TrainingOrder
from suture.steps import store_of_this_machine
from tasks.artifacts import show_losses
from tasks.step import as_result, build_step


@flow(name="heal", persist_result=True, result_serializer="json")
def heal(order: TrainingOrder) -> Any:  # noqa: ANN401 -- a StepReference, or a state that says Cached
    """Train the adapter that a run of build_model asks for, and put it into the store."""
    planned = order.planned()
    with store_of_this_machine().in_use():  # whoever asked may be gone, and collection must not take the parents
        outcome = build_step(planned)
        show_losses(planned, outcome)
    return as_result(outcome)
