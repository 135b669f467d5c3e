"""`suture sweep`: what it would do, how far it is, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue
from rich import box
from rich.markup import escape
from rich.table import Table

from suture.progress import human_bytes
from suture.store import Store
from suture.sweep import NOTE, SweepData, SweepPlan, table_rows

_LEFT = ("model", "compared with the best", "run")


def points_table(plan: SweepPlan, states: Mapping[int, str]) -> Table:
    """Return a row per point: its values, and its state."""
    table = Table(title=f"Sweep {plan.sweep.name}", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("point", *(axis.field for axis in plan.sweep.grid), "recipe", "state"):
        table.add_column(column)
    for planned in plan.points:
        point = planned.point
        table.add_row(str(point.number), *map(escape, point.values), point.recipe.name, states.get(point.number, ""))
    return table


def plan_lines(plan: SweepPlan, store: Store) -> list[str]:
    """Return what the sweep would do in a few lines: runs, steps, what is shared, disk."""
    asked = sum(len(planned.plan.steps) for planned in plan.points)
    missing, finished = plan.missing(store), plan.finished(store)
    needed, free = plan.needed_bytes(store), store.free_bytes()
    runs = f"{len(plan.points)} runs, {len(finished)} of them finished already."
    steps = f"{asked} steps, {len(plan.steps)} different ones: {len(plan.shared)} are shared by several points "
    steps += f"and built once; {len(missing)} are not in the store yet."
    disk = f"Disk: {human_bytes(needed)} needed, {human_bytes(free)} free at {store.root}: "
    return [runs, steps, disk + ("enough." if needed <= free else "NOT ENOUGH.")]


def plan_data(plan: SweepPlan, store: Store) -> dict[str, JsonValue]:
    """Return the same as data."""
    finished, shared = plan.finished(store), {step.key for step in plan.shared}
    return {
        "name": plan.sweep.name,
        "points": [
            {
                "point": planned.point.number,
                "recipe": planned.point.recipe.name,
                "values": dict(zip((axis.field for axis in plan.sweep.grid), planned.point.values, strict=True)),
                "finished": planned.point.number in finished,
            }
            for planned in plan.points
        ],
        "steps": [
            {"label": step.label, "key": step.key, "shared": step.key in shared, "in_store": store.has(step.key)}
            for step in plan.steps
        ],
        "disk": {"needed_bytes": plan.needed_bytes(store), "free_bytes": store.free_bytes()},
    }


def result_table(data: SweepData) -> Table:
    """Return the points side by side."""
    table = Table(title=f"Sweep {data.name}", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    rows = table_rows(data)
    fields = [axis.field for axis in data.axes]
    for column in rows[0]:
        table.add_column(column, justify="left" if column in (*_LEFT, *fields) else "right")
    for row in rows:
        table.add_row(*map(escape, row.values()))
    table.caption, table.caption_justify = NOTE, "left"
    return table
