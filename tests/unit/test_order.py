"""A training as it is handed to the GPU worker, and the failure that comes back."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from suture.errors import HostError, ProcessError, RecipeError, SutureError, TransientError
from suture.heal.train import Gates, TrainSpec
from suture.order import TrainingOrder, read_failure
from suture.recipe import Part
from suture.steps import PlannedStep, plan_step

WHERE = "http://host/run/1"


@pytest.fixture
def planned() -> PlannedStep:
    spec = TrainSpec(
        method="lora",
        rank=2,
        alpha=4,
        targets=("q_proj",),
        learning_rate=1e-3,
        warmup_steps=0,
        steps=2,
        batch_size=1,
        gradient_accumulation=1,
        checkpoint_every=1,
        seed=0,
        layers=(3, 4),
        gates=Gates(layers=(4,), start=0.25, learning_rate=0.02),
    )
    parents = [plan_step("merge", "merge", Part()), plan_step("dataset heal", "dataset", Part())]
    return plan_step("heal healed", "heal", spec, parents, size=7)


def test_crosses_as_json(planned: PlannedStep) -> None:
    crossed = TrainingOrder.model_validate_json(TrainingOrder.of(planned).model_dump_json()).planned()
    assert (crossed.key, crossed.spec, crossed.label, crossed.size) == (planned.key, planned.spec, "heal healed", 7)
    assert [(one.label, one.key) for one in crossed.parents] == [(one.label, one.key) for one in planned.parents]


def test_another_version_refuses(planned: PlannedStep) -> None:
    order = TrainingOrder.of(planned).model_copy(update={"key": "0" * 64})
    with pytest.raises(HostError, match="something else than what was planned") as caught:
        order.planned()
    assert caught.value.found == planned.key


def test_bad_value_names_its_field(planned: PlannedStep) -> None:
    content = TrainingOrder.of(planned).model_dump(mode="json")
    content["spec"]["rank"] = 0
    with pytest.raises(ValidationError, match=r"spec\.rank"):
        TrainingOrder.model_validate(content)


@pytest.mark.parametrize(
    "raised",
    [
        RecipeError("No such layer.", where="targets", expected="some of\n  these", found="none"),
        HostError("Out of memory."),
        TransientError("The network was away.", found="timeout: of 5 s", way_out="Try again."),
    ],
)
def test_failure_comes_back_as_it_was(raised: SutureError) -> None:
    message = f"Flow run encountered an exception: {type(raised).__name__}: {raised}"
    again = read_failure(message, WHERE)
    assert type(again) is type(raised)
    where = raised.where or WHERE
    told = (raised.problem, where, raised.expected, raised.found, raised.way_out)
    assert (again.problem, again.where, again.expected, again.found, again.way_out) == told
    assert WHERE in "".join(again.__notes__)


def test_failed_process_keeps_the_end_of_its_log() -> None:
    raised = ProcessError("Failed while training.", status=1, tail="a\n  b", where="/log")
    again = read_failure(f"... ProcessError: {raised}", WHERE)
    assert "a\n  b" in str(again)
    assert again.where == "/log"


def test_what_suture_did_not_raise_is_shown_whole() -> None:
    again = read_failure("Flow run encountered an exception: ValueError: bad", WHERE)
    assert "ValueError: bad" in str(again)
    assert again.where == WHERE
