"""The points of a sweep as a picture: against the swept field where that is one number, else one below the other."""

# matplotlib's methods take **kwargs without types
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

from suture.report.plots import PALETTE, drawn
from suture.statistics import CONFIDENCE, Z
from suture.sweep.compare import LOWEST, SweepData, SweepRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW = 0.34
"""Inches per point."""


def sweep_plot(data: SweepData) -> str | None:
    """Return the perplexities with their 95 % intervals as SVG, or None when none was measured.

    Green: the lowest one, and those that cannot be told from it.
    """
    rows = [row for row in data.rows if row.perplexity is not None]
    if not rows:
        return None
    places = _numbers(data)
    if places is not None:
        return drawn("sweep", 2.6, lambda axes: _against_number(axes, data, rows, places))
    return drawn("sweep", 0.75 + _ROW * len(rows), lambda axes: _one_by_one(axes, rows))


def _numbers(data: SweepData) -> dict[str, float] | None:
    """Return the values of the one axis as numbers, None where there are several axes or other values."""
    if len(data.axes) != 1 or len(data.rows) != len(data.axes[0].values):
        return None
    try:
        return {value: float(value) for value in data.axes[0].values}
    except ValueError:
        return None


def _label(row: SweepRow, *, several: bool) -> str:
    """Return a point's number and values, with the model's name where it has several."""
    return f"{row.point}: {', '.join([*row.values, *([row.arm] if several else [])])}"


def _colour(row: SweepRow) -> str:
    if row.adjusted is None:
        return PALETTE["healed" if LOWEST in row.verdict else "reference"]
    return PALETTE["healed" if row.adjusted >= 1 - CONFIDENCE else "reference"]


def _against_number(axes: Axes, data: SweepData, rows: Sequence[SweepRow], places: dict[str, float]) -> None:
    points = sorted(((places[row.values[0]], row) for row in rows), key=itemgetter(0))
    line = [(at, row.perplexity.value) for at, row in points if row.perplexity is not None]
    axes.plot(*zip(*line, strict=True), color=PALETTE["rule"], linewidth=1.2, zorder=1)
    for at, row in points:
        if row.perplexity is not None:
            _point(axes, row, at, row.perplexity.value, y=Z * row.perplexity.error)
    axes.set_xticks([at for at, _ in points], [row.values[0] for _, row in points])
    axes.set_xlabel(data.axes[0].field)
    axes.set_ylabel("perplexity, lower is better")
    axes.grid()
    axes.set_axisbelow(True)


def _one_by_one(axes: Axes, rows: Sequence[SweepRow]) -> None:
    for place, row in enumerate(rows):
        if row.perplexity is not None:
            _point(axes, row, row.perplexity.value, place, x=Z * row.perplexity.error)
    names = [_label(row, several=[other.point for other in rows].count(row.point) > 1) for row in rows]
    axes.set_yticks(range(len(rows)), names, color=PALETTE["ink"])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("perplexity, lower is better")
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_axisbelow(True)


def _point(
    axes: Axes, row: SweepRow, at: float, height: float, *, x: float | None = None, y: float | None = None
) -> None:
    axes.errorbar(at, height, xerr=x, yerr=y, fmt="o", color=_colour(row), markersize=4.5, elinewidth=1.6, capsize=3)
