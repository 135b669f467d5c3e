"""One training, for the worker that has a GPU."""

from __future__ import annotations

from prefect import flow

from suture.order import TrainingOrder
from suture.steps import store_of_this_machine
from tasks.step import StepReference
from tasks.train import train


@flow(name="heal", persist_result=True, result_serializer="json")
def heal(order: TrainingOrder) -> StepReference:
    """Train the adapter that a run of build_model asks for, and put it into the store."""
    planned = order.planned()
    with store_of_this_machine().in_use():  # whoever asked may be gone, and collection must not take the parents
        return train(planned)
