"""Plots of what the probes saw: the residual stream by layer, the perplexity by position."""

# matplotlib's methods take **kwargs without types
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from suture.report.data import Estimate, LayerData, MergeData, ProbeData, ReportData
from suture.report.plots import PALETTE, colour, drawn
from suture.report.probes import layers_of_source, perplexity_of, seams_of, stretches

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

    Numbers = np.ndarray[tuple[Any, ...], np.dtype[np.float64]]

_COSINES = (0.0, 0.5, 0.8, 0.9, 0.97, 1.0)
"""Marks of an axis that is linear in the angle."""

Reading = Callable[[LayerData], Estimate]


def seam_plot(data: ReportData) -> str | None:
    """Return norm and cosine of the residual stream by layer of the merge, or None when nothing was probed.

    A source is drawn where the merge has its layers, so that one place of the axis is one layer for all.
    """
    shown = [probe for probe in data.probes if probe.role != "control"]
    if not shown or not data.merges:
        return None

    def norms(axes: Axes) -> None:
        _by_layer(axes, shown, data, lambda layer: layer.norm)
        _logarithmic(axes)
        axes.set_ylabel("norm after the layer")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(4, len(shown)), handlelength=1.8)

    def cosines(axes: Axes) -> None:
        # the angle: cosines near 1 would all be one line
        axes.set_yscale("function", functions=(_angle, _cosine))
        _by_layer(axes, shown, data, lambda layer: layer.cosine)
        axes.set_yticks(_COSINES, [f"{cosine:g}" for cosine in _COSINES])
        # the first layer turns the embedding into something else altogether, in every model
        axes.set_ylim(min(layer.cosine.value for probe in shown for layer in probe.layers[1:]), 1)
        axes.set_ylabel("cosine, before and after")
        axes.set_xlabel("layer of the merge" if data.merges[-1].stack else "layer")

    return drawn("seam", 4.4, norms, cosines)


def position_plot(data: ReportData) -> str | None:
    """Return every probed model's perplexity by position in the text, or None when nothing was probed."""
    return drawn("position", 2.6, partial(_positions, data=data)) if data.probes else None


def _by_layer(axes: Axes, probes: Sequence[ProbeData], data: ReportData, reading: Reading) -> None:
    merge = data.merges[-1]
    for probe in probes:
        ink = PALETTE[colour(probe.name, probe.role, data)]
        label = probe.name
        for start, layers in _runs(probe, merge):
            places = range(start, start + len(layers))
            found = [reading(layer) for layer in layers]
            values = [each.value for each in found]
            low, high = ([each.value + sign * each.error for each in found] for sign in (-1, 1))
            axes.fill_between(places, low, high, color=ink, alpha=0.25, linewidth=0)
            axes.plot(places, values, color=ink, label=label, **_line(probe))
            label = "_"  # one line of the legend for all runs
    for seam in seams_of(merge):
        axes.axvline(seam.layer - 0.5, color=PALETTE["muted"], linewidth=0.9, linestyle=(0, (1, 1.5)))
    axes.grid()
    axes.set_axisbelow(True)


def _runs(probe: ProbeData, merge: MergeData) -> list[tuple[int, Sequence[LayerData]]]:
    return layers_of_source(probe, merge) if probe.name in merge.sources else [(0, probe.layers)]


def _positions(axes: Axes, data: ReportData) -> None:
    step = data.probes[0].context / 120
    for number, probe in enumerate(data.probes):
        parts = stretches(probe.positions)
        aside = step * (number - (len(data.probes) - 1) / 2)  # so that no whisker hides another
        found = [perplexity_of(part) for part in parts]
        axes.errorbar(
            [(part[0].first + part[-1].last) / 2 + aside for part in parts],
            [each.value for each in found],
            yerr=[each.error for each in found],
            color=PALETTE[colour(probe.name, probe.role, data)],
            label=probe.name,
            capsize=2,
            elinewidth=0.8,
            **_line(probe),
        )
    _logarithmic(axes)
    axes.set_xlabel("position of the token in its chunk")
    axes.set_ylabel("perplexity (log scale)")
    axes.grid()
    axes.set_axisbelow(True)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(4, len(data.probes)), handlelength=1.8)


def _line(probe: ProbeData) -> dict[str, Any]:
    if probe.role == "source":
        return {"linewidth": 1.2, "linestyle": (0, (4, 2)), "zorder": 3}  # over what it is compared with
    return {"linewidth": 1.8, "linestyle": "-"}


def _logarithmic(axes: Axes) -> None:
    """Give the upright axis a log scale with marks at 1, 2, 5, 10 ..."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")


def _angle(cosines: Numbers) -> Numbers:
    import numpy as np

    return -np.arccos(np.clip(cosines, -1, 1))


def _cosine(angles: Numbers) -> Numbers:
    import numpy as np

    return np.cos(np.clip(angles, -math.pi, 0))
