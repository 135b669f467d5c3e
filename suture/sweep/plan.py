"""What all points of a sweep together would do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from suture.errors import SutureError
from suture.plan import Plan, resolve
from suture.steps import PlannedStep
from suture.store import RunRecord, Store
from suture.store.disk import disk_full
from suture.store.runs import list_runs
from suture.sweep.form import Sweep
from suture.sweep.points import Point, points_of

_DISK_MARGIN = 1.1
"""Room for part files, manifests and logs beside the expected sizes."""


@dataclass(frozen=True)
class PlannedPoint:
    """A point and its plan."""

    point: Point
    plan: Plan


@dataclass(frozen=True)
class SweepPlan:
    """All points of a sweep, planned.

    Attributes:
        sweep: What was asked for.
        points: In the order of the grid.
    """

    sweep: Sweep
    points: tuple[PlannedPoint, ...]

    @property
    def steps(self) -> tuple[PlannedStep, ...]:
        """Every step of every point, once."""
        return tuple({step.key: step for planned in self.points for step in planned.plan.steps}.values())

    @property
    def shared(self) -> tuple[PlannedStep, ...]:
        """The steps that several points need; they are built once."""
        uses = Counter(step.key for planned in self.points for step in planned.plan.steps)
        return tuple(step for step in self.steps if uses[step.key] > 1)

    def missing(self, store: Store) -> tuple[PlannedStep, ...]:
        """Return the steps that are still to be built."""
        return tuple(step for step in self.steps if not store.has(step.key))

    def needed_bytes(self, store: Store) -> int:
        """Return the bytes of disk that these are expected to take."""
        return round(_DISK_MARGIN * sum(step.size for step in self.missing(store)))

    def check_disk(self, store: Store) -> None:
        """Refuse a sweep that the disk has no room for.

        Raises:
            HostError: With the bytes needed and found.
        """
        if self.needed_bytes(store) > store.free_bytes():
            raise disk_full(store.root, self.needed_bytes(store))

    def finished(self, store: Store) -> dict[int, RunRecord]:
        """Return the newest completed run of each point that has one: same recipe, same artifacts."""
        completed = [record for record in list_runs(store) if record.state == "completed"]
        found = {planned.point.number: _run_of(planned, completed) for planned in self.points}
        return {number: record for number, record in found.items() if record is not None}


def plan_sweep(sweep: Sweep) -> SweepPlan:
    """Resolve every point of a sweep; nothing is started or written.

    Raises:
        SutureError: When a point cannot be run, naming it.
    """
    planned: list[PlannedPoint] = []
    for point in points_of(sweep):
        try:
            planned.append(PlannedPoint(point, resolve(point.recipe)))
        except SutureError as error:
            chosen = ", ".join(f"{axis.field}={value}" for axis, value in zip(sweep.grid, point.values, strict=True))
            error.where = f"the point {chosen}" + (f": {error.where}" if error.where else "")
            raise
    return SweepPlan(sweep, tuple(planned))


def _run_of(planned: PlannedPoint, completed: Sequence[RunRecord]) -> RunRecord | None:
    recipe = planned.point.recipe.model_dump(mode="json")
    keys = {step.key for step in planned.plan.steps}
    return next((record for record in completed if record.recipe == recipe and set(record.keys) == keys), None)
