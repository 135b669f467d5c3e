"""The points of a sweep side by side, and which differences are more than noise.

Every measured row is compared with the one of the lowest perplexity, chunk by chunk, and with the one that passed
most tests, test by test; the p-values are corrected for the number of these comparisons (Holm). The best of many is
partly luck: what is "no detectable difference" away from it may as well be the best.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from suture.report.build import load_report
from suture.report.comparison import Measured, difference
from suture.report.data import ArmData, Difference, Estimate, Interval, Rivalry
from suture.report.data.row import Row
from suture.report.rivalries import comparable, compare_pairs
from suture.statistics import CONFIDENCE, holm
from suture.store import RunRecord, Store
from suture.sweep.plan import SweepPlan
from suture.sweep.points import Point

LOWEST = "lowest perplexity"
NO_DIFFERENCE = "no detectable difference"


class AxisData(Row):
    """A swept field and its values."""

    field: str
    values: tuple[str, ...]


class SweepRow(Row):
    """One measured model of one point; or a point of which there is none."""

    point: int
    values: tuple[str, ...]
    """Of each axis."""
    recipe: str
    """What its recipe is called."""
    run: str = ""
    """Its run; empty when it has not completed."""
    arm: str = ""
    """Which row of that run's scoreboard."""
    perplexity: Estimate | None = None
    passed: int | None = None
    total: int | None = None
    interval: Interval | None = None
    """Of passed / total."""
    size_bytes: int | None = None
    """Of all files that it is served from."""
    difference: Difference | None = None
    """Its log-perplexity less that of the lowest row; None for that row, and where one was not measured."""
    adjusted: float | None = None
    """P-value of that difference, corrected for the number of comparisons."""
    tests: Rivalry | None = None
    """Against the row that passed most tests, on the same tests."""
    verdict: str = ""
    """What the numbers support."""


class SweepData(Row):
    """A whole sweep."""

    name: str
    recipe: str
    axes: tuple[AxisData, ...]
    rows: tuple[SweepRow, ...]


def compare_points(plan: SweepPlan, store: Store, runs: Mapping[int, RunRecord]) -> SweepData:
    """Return the points side by side.

    Args:
        plan: The sweep.
        store: Holds the reports.
        runs: The completed run of each point that has one.
    """
    measured: list[tuple[SweepRow, ArmData | None]] = []
    for planned in plan.points:
        measured += _rows(planned.point, store, runs.get(planned.point.number))
    rows = judge(measured)
    axes = tuple(AxisData(field=axis.field, values=axis.values) for axis in plan.sweep.grid)
    return SweepData(name=plan.sweep.name, recipe=plan.sweep.recipe.name, axes=axes, rows=rows)


def _rows(point: Point, store: Store, record: RunRecord | None) -> list[tuple[SweepRow, ArmData | None]]:
    row = SweepRow(point=point.number, values=point.values, recipe=point.recipe.name)
    if record is None:
        return [(row, None)]
    row = row.model_copy(update={"run": record.run})
    return [(_of_arm(row, arm), arm) for arm in _of_interest(load_report(store, record.run).data.arms)] or [
        (row, None)
    ]


def _of_interest(arms: Sequence[ArmData]) -> list[ArmData]:
    """Return what a run was made for: the healed merge, else the merge, in each quantization."""
    healed = [arm for arm in arms if arm.role == "healed"]
    return healed or [arm for arm in arms if arm.is_final]


def _of_arm(row: SweepRow, arm: ArmData) -> SweepRow:
    return row.model_copy(
        update={
            "arm": arm.name,
            "perplexity": arm.perplexity,
            "passed": arm.passed,
            "total": arm.total,
            "interval": arm.interval,
            "size_bytes": arm.served_bytes,
        }
    )


def judge(measured: Sequence[tuple[SweepRow, ArmData | None]]) -> tuple[SweepRow, ...]:
    """Return the rows with what their numbers support; of a point that did not finish there is no arm."""
    arms = {
        place: arm.model_copy(update={"title": f"point {row.point}"})
        for place, (row, arm) in enumerate(measured)
        if arm is not None
    }
    perplexities = _by_perplexity(arms)
    tests = _by_tests(arms)
    rows: list[SweepRow] = []
    for place, (row, _) in enumerate(measured):
        apart, adjusted = perplexities.get(place, (None, None))
        found = row.model_copy(update={"difference": apart, "adjusted": adjusted, "tests": tests.get(place)})
        verdict = "not finished"
        if place in arms:
            is_best = bool(tests) and place == _most_passed(arms)
            verdict = _verdict(found, is_lowest=_is_lowest(place, arms), is_best=is_best)
        rows.append(found.model_copy(update={"verdict": verdict}))
    return tuple(rows)


def _verdict(row: SweepRow, *, is_lowest: bool, is_best: bool) -> str:
    """Return what a measured row's numbers support.

    Args:
        row: With the comparisons.
        is_lowest: Whether perplexities were compared with its own.
        is_best: Whether tests were compared with its own.
    """
    found: list[str] = [LOWEST] if is_lowest else []
    if row.difference is not None and row.adjusted is not None and row.adjusted < 1 - CONFIDENCE:
        found.append("higher perplexity" if row.difference.value > 0 else "lower perplexity")
    if row.perplexity is not None and row.difference is None and not is_lowest:
        found.append("perplexity not compared")  # of other texts
    if row.tests is not None and row.tests.is_detectable:
        found.append("fewer tests")
    is_compared = is_best or row.difference is not None or row.tests is not None
    return ", ".join(found) or (NO_DIFFERENCE if is_compared else "not compared")


def _lowest(arms: Mapping[int, ArmData]) -> int | None:
    measured = {place: arm.perplexity.value for place, arm in arms.items() if arm.perplexity is not None}
    finite = {place: value for place, value in measured.items() if math.isfinite(value)}
    return min(finite, key=finite.__getitem__, default=None)


def _is_lowest(place: int, arms: Mapping[int, ArmData]) -> bool:
    return len(arms) > 1 and place == _lowest(arms)


def _most_passed(arms: Mapping[int, ArmData]) -> int | None:
    asked = {place: arm.passed or 0 for place, arm in arms.items() if arm.tests}
    return max(asked, key=asked.__getitem__, default=None)


def _by_perplexity(arms: Mapping[int, ArmData]) -> dict[int, tuple[Difference, float]]:
    """Return each row's difference to the lowest one, with its corrected p-value."""
    lowest = _lowest(arms)
    best = None if lowest is None else arms[lowest]
    if best is None or best.perplexity is None:
        return {}
    found = {
        place: difference(Measured(arm, arm.perplexity), Measured(best, best.perplexity))
        for place, arm in arms.items()
        if place != lowest and arm.perplexity is not None and arm.perplexities.keys() == best.perplexities.keys()
    }
    adjusted = holm([each.p for each in found.values()])
    return {place: (each, p) for (place, each), p in zip(found.items(), adjusted, strict=True)}


def _by_tests(arms: Mapping[int, ArmData]) -> dict[int, Rivalry]:
    """Return each row against the one that passed most of the same tests."""
    best = _most_passed(arms)
    if best is None:
        return {}
    pairs = {place: (arms[best], arm) for place, arm in arms.items() if place != best and comparable(arms[best], arm)}
    return dict(zip(pairs, compare_pairs(list(pairs.values())), strict=True))
