"""Two compared checkpoints as a plot: each kind of tensor in each layer, and whole layers.

Colours show relative distance. If the model that both were made of was compared with them, colours show the cosine of
the two changes: where it is negative, the two undo each other's work.
"""

# matplotlib's methods take **kwargs without types
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from suture.checkpoint.inspection.compare import Comparison, Sums, add_up
from suture.checkpoint.inspection.groups import GROUPS, Group
from suture.errors import HostError
from suture.report.plots import PALETTE, STYLE
from suture.show.difference import headline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

_COLUMN = 0.2
"""Inches, width of a layer."""
_NARROWEST = 5.6
_ROW = 0.24
"""Inches, height of a kind of tensors."""
_STRIP = 0.9
"""Inches, height of the bars of whole layers."""
_RATIO_FOR_LOG = 30.0
"""Largest to smallest distance from which a linear scale would hide the small ones."""
_LEAST_REACH = 0.2
"""Of the scale of cosines: random changes at right angles to each other should not look like anything."""
_MOST_KINDS = 60
_TITLE = 60
"""Characters in a line of the title."""
_MOST_LABELS = 20
"""Layers that are numbered on the axis, at most."""
_NEAR_TO_FAR = ("#eef0f6", "#c3d1ee", "#7f9fdb", "#5a63b8", "#7a2f86", "#8f1238")
_OPPOSED_TO_ALIKE = ("#b2182b", "#ef8a62", "#f6f2ee", "#67a9cf", "#2166ac")
_FORMATS = (".svg", ".png", ".pdf")

Grid = NDArray[np.float64]
Kind = tuple[Group, str]


def check_format(path: Path) -> None:
    """Refuse a plot that could not be written, before anything is computed for it.

    Raises:
        HostError: When the file's suffix is of no known format, or its folder is not there.
    """
    if path.suffix.lower() not in _FORMATS:
        expected = f"a name that ends with {', '.join(_FORMATS)}"
        raise HostError("The plot's format is not known.", where=path, expected=expected)
    if not path.absolute().parent.is_dir():
        raise HostError("The plot cannot be written.", where=path, expected="a folder that is there")


def write_heatmap(comparison: Comparison, path: Path) -> None:
    """Draw a comparison into a file.

    Args:
        comparison: What to draw.
        path: The file; its suffix says the format.

    Raises:
        HostError: When the file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    check_format(path)
    with mpl.rc_context({**STYLE, "svg.hashsalt": "difference"}):
        figure = Figure(layout="constrained", facecolor=PALETTE["paper"])
        _draw(figure, comparison)
        metadata: dict[str, Any] = {"Date": None} if path.suffix.lower() == ".svg" else {}
        try:
            figure.savefig(path, dpi=180, metadata=metadata)
        except OSError as error:
            raise HostError("The plot cannot be written.", where=path, found=error.strerror) from error


def kinds_of(comparison: Comparison) -> list[Kind]:
    """Return the kinds of tensors in layers: attention first, then MLP, norms, others; each in the layers' order."""
    layers = comparison.by_layer.values()
    kinds: list[Kind] = [(each.tensor.group, each.tensor.kind) for tensors in layers for each in tensors]
    return sorted(dict.fromkeys(kinds), key=lambda kind: GROUPS.index(kind[0]))


def grid_of(comparison: Comparison, kinds: list[Kind]) -> Grid:
    """Return what the colours show, NaN where a layer has no such tensor: (kinds, layers), in percent or a cosine."""
    rows = {kind: row for row, (_, kind) in enumerate(kinds)}
    layers = comparison.by_layer.values()
    grid = np.full((len(kinds), len(layers)), np.nan)
    for column, tensors in enumerate(layers):
        sums: dict[str, Sums] = {}
        for each in tensors:
            sums[each.tensor.kind] = sums.get(each.tensor.kind, Sums()) + each.sums
        for kind, total in sums.items():
            grid[rows[kind], column] = total.cosine if comparison.has_base else 100 * total.distance
    return grid


def _draw(figure: Figure, comparison: Comparison) -> None:
    kinds, layers = kinds_of(comparison), list(comparison.by_layer)
    grid = grid_of(comparison, kinds)[:_MOST_KINDS]
    height = max(1.0, _ROW * len(grid))
    figure.set_size_inches(max(_NARROWEST, _COLUMN * len(layers)) + 2.6, height + _STRIP + 1.3)
    strip, heat = figure.subplots(2, 1, height_ratios=[_STRIP, height], sharex=True)
    _draw_strip(strip, comparison)
    _draw_heat(figure, heat, grid, kinds[:_MOST_KINDS], *_colours(grid, has_base=comparison.has_base))
    heat.set_xticks(*_layer_ticks(layers))
    blank = "; hatched: unchanged in A or B" if comparison.has_base else "; hatched: not in both"
    heat.set_xlabel("layer" + (blank if np.isnan(grid).any() else ""))
    for axes in (strip, heat):
        axes.tick_params(labelsize=8)
    figure.suptitle(_title(comparison), x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    if comparison.has_base:
        figure.legend(loc="upper right", ncols=2, fontsize=8, handlelength=1.2)
    strip.set_title(headline(comparison), loc="left", fontsize=8.5, color=PALETTE["muted"], pad=10)


def _title(comparison: Comparison) -> str:
    """Return what is compared: in one line if the folders' names are short."""
    labels = ("A", "B", "base")
    names = [f"{label}: {folder.absolute().name}" for label, folder in zip(labels, comparison.folders, strict=False)]
    return ("    " if sum(map(len, names)) < _TITLE else "\n").join(name[:_TITLE] for name in names)


def _draw_strip(axes: Axes, comparison: Comparison) -> None:
    """Draw how far apart whole layers are; with a base, how far each of the two is from it."""
    sums = [add_up(tensors) for tensors in comparison.by_layer.values()]
    series = [("", [each.distance for each in sums], _NEAR_TO_FAR[3])]
    if comparison.has_base:
        series = [
            ("A", [each.first_length for each in sums], PALETTE["source-1"]),
            ("B", [each.second_length for each in sums], PALETTE["source-2"]),
        ]
    width = 0.82 / len(series)
    for place, (label, values, colour) in enumerate(series):
        heights = [100 * value if math.isfinite(value) else 0.0 for value in values]
        centres = [layer + (place - (len(series) - 1) / 2) * width for layer in range(len(values))]
        axes.bar(centres, heights, width=width, color=colour, label=label)
    axes.set_ylabel("from base, %" if comparison.has_base else "whole layer, %", fontsize=8)
    axes.tick_params(axis="x", labelbottom=False)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)


def _colours(grid: Grid, *, has_base: bool) -> tuple[Colormap, Normalize, str]:
    """Return the colours, their scale, and what it says."""
    from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize

    shown = grid[np.isfinite(grid)]
    if has_base:
        reach = max(_LEAST_REACH, float(np.abs(shown).max(initial=0.0)))
        colours = LinearSegmentedColormap.from_list("cosine", _OPPOSED_TO_ALIKE)
        return colours, Normalize(-reach, reach), "cosine of the two changes"
    colours = LinearSegmentedColormap.from_list("distance", _NEAR_TO_FAR)
    positive = shown[shown > 0]
    if positive.size and positive.max() > _RATIO_FOR_LOG * positive.min():
        # what is identical has no place on the scale: paper white
        scale = LogNorm(float(positive.min()), float(positive.max()))
        return colours.with_extremes(under=PALETTE["paper"], bad=PALETTE["paper"]), scale, "relative distance, %"
    return colours, Normalize(0.0, float(positive.max()) if positive.size else 1.0), "relative distance, %"


def _draw_heat(
    figure: Figure, axes: Axes, grid: Grid, kinds: list[Kind], colours: Colormap, scale: Normalize, label: str
) -> None:
    image = axes.imshow(
        np.where(np.isfinite(grid), grid, np.nan), cmap=colours, norm=scale, aspect="auto", interpolation="nearest"
    )
    axes.set_yticks(range(len(kinds)), [kind for _, kind in kinds], fontsize=8, color=PALETTE["ink"])
    for edge in np.arange(0.5, grid.shape[1] - 1):
        axes.axvline(edge, color=PALETTE["paper"], linewidth=0.7)
    for edge in np.arange(0.5, grid.shape[0] - 1):
        axes.axhline(edge, color=PALETTE["paper"], linewidth=0.7)
    for row, (before, after) in enumerate(pairwise(kinds)):
        if before[0] != after[0]:
            axes.axhline(row + 0.5, color=PALETTE["ink"], linewidth=0.9)
    axes.patch.set(facecolor=PALETTE["paper"], edgecolor=PALETTE["rule"], hatch="////", linewidth=0)  # no such tensor
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.01, format="%g")
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=8, which="both", length=0)


def _layer_ticks(layers: list[int]) -> tuple[list[int], list[str]]:
    """Return the places of every layer's number, or every second's, fourth's ..., and the numbers."""
    step = 1
    while len(layers) / step > _MOST_LABELS:
        step *= 2
    places = list(range(0, len(layers), step))
    return places, [str(layers[place]) for place in places]
