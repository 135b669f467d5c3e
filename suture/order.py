"""An order: one training of a plan, as it is handed to the worker that has a GPU, and the failure that comes back.

What crosses is JSON: the spec, and the keys of the parents, which the worker finds in its own store or in its remote.
It works out the key again; only when it is the same would it make what the plan means.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field

from suture import errors
from suture.errors import HostError, ProcessError, SutureError
from suture.heal.train import TrainSpec
from suture.recipe import Part
from suture.steps import STEPS, PlannedStep
from suture.store import artifact_key

Key = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

_DETAIL = re.compile(
    r"^  (where|expected|found|way out): +(.*?)(?=\n  (?:where|expected|found|way out): |\Z)",
    re.MULTILINE | re.DOTALL,
)
_KIND = re.compile(r"\b([A-Z]\w*Error): ")


class Made(Part):
    """What another step of the plan made."""

    label: str
    """What the plan calls that step."""

    key: Key
    """Key of its artifact."""


class TrainingOrder(Part):
    """One training of a plan, for the machine that has a GPU. `build_model` fills this in."""

    label: str = Field(min_length=1)
    """What the plan calls it, such as `heal healed`."""

    step: Literal["heal", "finetune"]
    """Its kind."""

    spec: TrainSpec
    """How to train."""

    parents: Annotated[tuple[Made, ...], Field(min_length=1)]
    """The checkpoint and the tokenised data; the worker's store, or its remote, must hold them."""

    size: int = Field(ge=0)
    """Bytes it is expected to write."""

    key: Key
    """Key of the artifact that is to be made."""

    @classmethod
    def of(cls, planned: PlannedStep) -> Self:
        """Return the order for a step of a plan."""
        return cls.model_validate(
            {
                "label": planned.label,
                "step": planned.step,
                "spec": planned.spec,
                "parents": [{"label": parent.label, "key": parent.key} for parent in planned.parents],
                "size": planned.size,
                "key": planned.key,
            }
        )

    def planned(self) -> PlannedStep:
        """Return the step; its parents are known by their keys alone.

        Raises:
            HostError: When this version of Suture would make something else of it.
        """
        spec = self.spec.model_dump(mode="json")
        key = artifact_key(self.step, STEPS[self.step].version, spec, [parent.key for parent in self.parents], "")
        if key != self.key:
            raise HostError(
                "This worker's Suture would make something else than what was planned.",
                where=self.label,
                expected=self.key,
                found=key,
                way_out="Run the same version of Suture on both machines, and restart the worker.",
            )
        parents = tuple(_known_by_key(parent) for parent in self.parents)
        return PlannedStep(self.label, self.step, self.spec, parents, "", self.size, self.key)


def read_failure(message: str, where: str) -> SutureError:
    """Return the error that a worker's run ended with, of the same kind and with the same details.

    Args:
        message: What the state of its run says: the kind of the error, and its text as `SutureError` writes it.
        where: Address of the run, for errors that name no place, or that Suture did not raise.
    """
    found = _KIND.search(message)
    kind = getattr(errors, found[1], None) if found else None
    if found is None or kind is None:
        return SutureError("The worker failed.", where=where, found=message, way_out="Read the log of its run.")
    text = message[found.end() :]
    details: dict[str, str] = dict(_DETAIL.findall(text))
    problem = _DETAIL.split(text, maxsplit=1)[0].strip()
    error = (SutureError if issubclass(kind, ProcessError) else kind)(
        problem,
        where=details.get("where", where),
        expected=details.get("expected"),
        found=details.get("found"),
        way_out=details.get("way out"),
    )
    error.add_note(f"It happened on the worker: {where}")
    return error


def _known_by_key(parent: Made) -> PlannedStep:
    return PlannedStep(parent.label, "", Part(), (), "", 0, parent.key)
