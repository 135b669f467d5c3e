"""A sweep's comparison, written beside the runs: HTML and JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from suture.report import plots
from suture.report.document import document
from suture.report.markup import Markup, element
from suture.store import Store
from suture.store.durable import write_atomically
from suture.sweep.compare import SweepData
from suture.sweep.plot import sweep_plot
from suture.sweep.table import NOTE, table_rows


@dataclass(frozen=True)
class SweepFiles:
    """Where a sweep's comparison lies."""

    html: Path
    json: Path


def write_sweep(store: Store, data: SweepData) -> SweepFiles:
    """Write the comparison into `sweeps/NAME` of the store, over an earlier one of the same sweep."""
    folder = store.root / "sweeps" / data.name
    folder.mkdir(parents=True, exist_ok=True)
    files = SweepFiles(folder / "sweep.html", folder / "sweep.json")
    write_atomically(files.html, sweep_page(data).encode())
    write_atomically(files.json, data.model_dump_json(indent=1).encode())
    return files


def sweep_page(data: SweepData) -> str:
    """Return the page."""
    fields = ", ".join(f"{axis.field} = {', '.join(axis.values)}" for axis in data.axes)
    header = element(
        "header", element("p", "Suture sweep", class_="eyebrow"), element("h1", data.name), element("p", fields)
    )
    main = element("main", header, _figure(data), _table(data))
    return document(f"{data.name} - Suture sweep", main)


def _figure(data: SweepData) -> Markup:
    svg = sweep_plot(data)
    if svg is None:
        return Markup()
    title = "Perplexity"
    note = "Bars are 95 % intervals. Green: the lowest one, and those that cannot be told from it."
    caption = element("figcaption", element("strong", title), " ", note)
    picture = element("div", Markup(plots.themed(svg)), role="img", aria_label=title)
    figure = element("figure", caption, picture, style="max-width: 36rem")
    return element("section", element("div", figure, class_="figures"))


def _table(data: SweepData) -> Markup:
    rows = table_rows(data)
    heads = [element("th", column, scope="col") for column in rows[0]]
    cells = [element("tr", *(_cell(column, text, data) for column, text in row.items())) for row in rows]
    table = element("table", element("thead", element("tr", *heads)), element("tbody", *cells), class_="steps")
    return element(
        "section",
        element("h2", "Points"),
        element("div", table, class_="scroll wide", tabindex="0"),
        element("p", NOTE, class_="small"),
    )


def _cell(column: str, text: str, data: SweepData) -> Markup:
    """Return a cell; a run's leads to its report."""
    is_run = column == "run" and any(row.run == text for row in data.rows)
    return element("td", element("a", text, href=f"../../runs/{text}/report.html") if is_run else text)
