"""Plots as SVG text: the same drawing stands alone in light colours, or takes a page's colours, light and dark."""

# matplotlib's methods take **kwargs without types
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from suture.report.data import FINAL, ArmData, ReportData, Standing, TrainingData
from suture.report.numbers import with_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = {
    "paper": "#fffffe",
    "ink": "#211e26",
    "muted": "#6d6878",
    "rule": "#e4e0e8",
    "source-1": "#2f66d0",
    "source-2": "#b8720a",
    "source-3": "#0b8496",
    "source-4": "#a04a7c",
    "merged": "#c2304a",
    "healed": "#12805a",
    "control": "#7d55c0",
    "reference": "#7b7784",
}
"""Name -> colour in light surroundings; a page gives each name its own value as a CSS variable `--NAME`."""

SOURCE_COLOURS = 4

_WIDTH = 4.4
"""Inches; 9 point text stays readable when this is scaled to the width of a phone."""
_ROW = 0.34
"""Inches per bar."""
_LOG_FROM = 12.0
"""Ratio of largest to smallest perplexity from which bars on a linear axis hide the small ones."""
_SMOOTHING = 8
"""Loss curves are averaged over 1/8 of their steps."""

_LAYER = re.compile(r"\.(\d+)\.")
_BLOCKS = {"attention": ("o_proj", "out_proj"), "feed-forward": ("down_proj",)}
"""Half of a layer -> the projection through which it adds to the residual stream."""

_SIZE = re.compile(r' (?:width|height)="[\d.]+pt"')

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's font
    "font.size": 9.0,
    "font.family": "sans-serif",
    "axes.edgecolor": PALETTE["rule"],
    "axes.labelcolor": PALETTE["muted"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": PALETTE["rule"],
    "grid.linewidth": 0.6,
    "text.color": PALETTE["ink"],
    "text.parse_math": False,
    "xtick.color": PALETTE["muted"],
    "ytick.color": PALETTE["muted"],
    "xtick.major.size": 0.0,
    "xtick.minor.size": 0.0,
    "ytick.major.size": 0.0,
    "legend.frameon": False,
}


def perplexity_plot(data: ReportData) -> str | None:
    """Return bars of every measured arm's perplexity with its standard error, or None when nothing was measured."""
    arms = [arm for arm in data.arms if arm.perplexity is not None]
    if not arms:
        return None
    colours = [colour(arm.name, arm.role, data) for arm in arms]
    return drawn("perplexity", 0.75 + _ROW * len(arms), lambda axes: _bars(axes, arms, colours))


def standings_plot(data: ReportData) -> str | None:
    """Return every merge's difference to its best parent, text by text, or None when there is nothing to compare."""
    if not data.standings:
        return None
    return forest_plot(data.standings, lambda row: colour(row.model, row.role, data))


def forest_plot(rows: Sequence[Standing], colour_of: Callable[[Standing], str]) -> str:
    """Return a panel per text with a line per model: its change of perplexity to the best parent, with interval."""
    texts = list(dict.fromkeys(row.text for row in rows))
    models = list(dict.fromkeys(row.model for row in rows))

    def draw(axes: Axes, text: str) -> None:
        shown = [row for row in rows if row.text == text]
        _forest(axes, shown, models, [colour_of(row) for row in shown])
        if text == texts[-1]:
            axes.set_xlabel("change of perplexity, % (left is better)")

    height = len(texts) * (0.55 + 0.25 * len(models)) + 0.3
    return drawn("standings", height, *(partial(draw, text=text) for text in texts))


def loss_plot(data: ReportData) -> str | None:
    """Return the loss curves of all trainings, or None when there are none."""
    trainings = [training for training in data.trainings if training.losses]
    if not trainings:
        return None
    colours = [colour(training.name, training.role, data) for training in trainings]
    return drawn("loss", 2.6, lambda axes: _curves(axes, trainings, colours))


def gates_plot(data: ReportData) -> str | None:
    """Return the heal's factor on each projection of the repeated layers, or None when it had none."""
    gates = next((training.gates for training in data.trainings if training.gates), None)
    return drawn("gates", 2.4, lambda axes: _gates(axes, gates)) if gates else None


def colour(name: str, role: str, data: ReportData) -> str:
    """Return the palette's name for an arm: its role, or which source it is."""
    if role != "source":
        return role
    sources = [source.name for source in data.sources]
    model = name.partition(" ")[0]  # `a Q4_K_M` is source a; names hold no spaces
    if model not in sources:  # a stage, which a stack takes layers from like from a source
        return "merged"
    number = sources.index(model)
    return f"source-{number % SOURCE_COLOURS + 1}"


def themed(svg: str) -> str:
    """Return a plot for use inside a page: it takes the page's colours and the width that it is given."""
    svg = _SIZE.sub("", svg, count=2)
    for name, value in PALETTE.items():
        svg = svg.replace(value, f"var(--{name})")
    return svg


def data_uri(svg: str) -> str:
    """Return a plot as an image address that holds the image."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def drawn(name: str, height: float, *draw: Callable[[Axes], None]) -> str:
    """Draw on fresh axes, one below the other with one x axis; the same data gives the same text.

    Args:
        name: What tells this plot from others in one page.
        height: Inches.
        draw: Fills one panel each.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained", facecolor=PALETTE["paper"])
        FigureCanvasSVG(figure)
        panels = figure.subplots(len(draw), 1, sharex=True, squeeze=False)[:, 0]
        for axes, fill in zip(panels, draw, strict=True):
            axes.set_facecolor("none")
            fill(axes)
        return _svg(figure, name)


def _svg(figure: Figure, name: str) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    # ids are made unique per plot: several plots may stand in one page
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)


def _bars(axes: Axes, arms: Sequence[ArmData], colours: Sequence[str]) -> None:
    measured = [arm.perplexity for arm in arms if arm.perplexity is not None]
    values, errors = [each.value for each in measured], [each.error for each in measured]
    places = range(len(arms))
    logarithmic = max(values) > _LOG_FROM * min(values)
    if logarithmic:
        axes.set_xscale("log")
    axes.barh(places, values, height=0.62, color=[PALETTE[name] for name in colours])
    axes.errorbar(values, places, xerr=errors, fmt="none", color=PALETTE["ink"], elinewidth=1.1, capsize=2.5)
    for place, estimate in zip(places, measured, strict=True):
        right = (estimate.value + estimate.error, place)
        axes.annotate(with_error(estimate), right, (5, 0), textcoords="offset points", va="center", fontsize=8.5)
    axes.set_yticks(places, [arm.name for arm in arms], color=PALETTE["ink"])
    axes.invert_yaxis()
    axes.margins(x=0.36)  # room for the numbers
    if not logarithmic:
        axes.set_xlim(left=0)
    axes.set_xlabel(f"perplexity, lower is better{' (log scale)' if logarithmic else ''}")
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_axisbelow(True)


def _forest(axes: Axes, rows: Sequence[Standing], models: Sequence[str], colours: Sequence[str]) -> None:
    axes.axvline(0, color=PALETTE["muted"], linewidth=0.8)
    for row, ink in zip(rows, colours, strict=True):
        interval = row.difference.interval
        low, value, high = (100 * math.expm1(each) for each in (interval.low, row.difference.value, interval.high))
        axes.errorbar(
            value,
            models.index(row.model),
            xerr=[[value - low], [high - value]],
            fmt="o",
            color=PALETTE[ink],
            markersize=4.5,
            elinewidth=1.6,
            capsize=3,
        )
    # the name of a stage tells what it is
    final = {row.model: row.method for row in rows if row.method and row.model.partition(" ")[0] == FINAL}
    names = [f"{model} ({final[model]})" if model in final else model for model in models]
    axes.set_yticks(range(len(models)), names, color=PALETTE["ink"])
    axes.set_ylim(len(models) - 0.5, -0.5)
    parents = ", ".join(dict.fromkeys(row.parent for row in rows))
    axes.set_title(f"{rows[0].text}: best parent {parents}", loc="left", fontsize=9.0, color=PALETTE["muted"])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_axisbelow(True)


def _curves(axes: Axes, trainings: Sequence[TrainingData], colours: Sequence[str]) -> None:
    for training, name in zip(trainings, colours, strict=True):
        steps, losses = zip(*training.losses, strict=True)
        child = training.role == "source"
        axes.plot(steps, losses, color=PALETTE[name], linewidth=0.7, alpha=0.4)
        axes.plot(
            steps,
            _smoothed(losses),
            color=PALETTE[name],
            linewidth=1.3 if child else 2.2,
            linestyle=(0, (4, 2)) if child else "-",
            label=training.name,
        )
        if training.held_out:
            at, held_out = zip(*training.held_out, strict=True)
            axes.plot(at, held_out, "o", color=PALETTE[name], markersize=5, label=f"{training.name}, held out")
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("loss")
    axes.grid()
    axes.set_axisbelow(True)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(4, len(trainings)), handlelength=1.8)


def _gates(axes: Axes, gates: Mapping[str, float]) -> None:
    for (block, marker), ink in zip(_BLOCKS.items(), ("source-1", "source-2"), strict=True):
        of_block = {int(_LAYER.findall(name)[0]): gate for name, gate in gates.items() if name.endswith(marker)}
        layers = sorted(of_block)
        axes.plot(layers, [of_block[layer] for layer in layers], "o-", color=PALETTE[ink], markersize=3, label=block)
    axes.axhline(1, color=PALETTE["muted"], linewidth=0.8, linestyle=(0, (2, 2)))
    axes.set_ylim(bottom=min(0.0, *gates.values()))
    axes.set_xlabel("layer of the merge")
    axes.set_ylabel("factor")
    axes.grid()
    axes.set_axisbelow(True)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, handlelength=1.8)


def _smoothed(losses: Sequence[float]) -> list[float]:
    """Return a centred moving average; at the ends over what is there."""
    reach = len(losses) // _SMOOTHING // 2
    windows = [losses[max(0, i - reach) : i + reach + 1] for i in range(len(losses))]
    return [sum(window) / len(window) for window in windows]
