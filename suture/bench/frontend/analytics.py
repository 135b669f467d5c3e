"""Task 4: an analytics dashboard."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from suture.bench.frontend.common import COMMON, RULES
from suture.bench.frontend.form import BrowserCheck, NotAsAskedError, Task, require
from suture.bench.frontend.looks import has_layout, new_texts
from suture.bench.frontend.page import Page

if TYPE_CHECKING:
    from playwright.sync_api import Locator

PROMPT = f"""\
Build an analytics dashboard as a single HTML file, with made-up data.

- A dark theme: light text on dark backgrounds everywhere. Lay out the page with CSS grid.
- A sidebar with id="sidebar" with navigation, and a button with id="sidebar-toggle" that makes it narrower, or \
hides it.
- A bar chart drawn as inline SVG with id="bar-chart": at least four <rect class="bar"> whose heights follow the data.
- When the mouse is over a bar, an element with id="tooltip" appears and shows the bar's value.
- A donut chart drawn as inline SVG with id="donut": a ring of at least three elements (<circle> or <path>) with \
class="segment", each in another colour.
- A table with id="data-table", with at least five rows and a column of numbers. A click on a column's <th> sorts \
the rows by that column in ascending order, a second click in descending order. Numbers sort by value, not as text. \
Do not begin with the rows in the order of a column.

{RULES}"""

_BARS = ("#bar-chart rect.bar", "#bar-chart rect", "svg rect[class*=bar]", "svg rect")
_TOOLTIP = ("#tooltip", "[role=tooltip]", "[class*=tooltip]")
_DONUT = ("#donut", "svg[class*=donut], [class*=donut] svg", "[class*=donut]", "[id*=donut]")
_SEGMENTS = (".segment", "[class*=segment]", "circle[stroke-dasharray], path")
_ROWS = ("#data-table tbody tr", "table tbody tr", "table tr:has(td)")
_HEADS = ("#data-table thead th", "table thead th", "table th")
_SIDEBAR = ("#sidebar", "aside", "[class*=sidebar]")
_SIDEBAR_TOGGLE = (
    "#sidebar-toggle",
    "role=button[name=/sidebar|menu|collapse|toggle/i]",
    "[class*=sidebar-toggle], [class*=toggle-sidebar], [class*=collapse], [class*=hamburger]",
)
_NUMBER = re.compile(r"[^\w.+-]*([+-]?\d[\d,]*(?:\.\d+)?|[+-]?\.\d+)\s*(%|[kmb]|ms|s|m|h|pts)?[^\w]*", re.IGNORECASE)
_SCALES = {"k": 1e3, "m": 1e6, "b": 1e9}

_DARK = 0.3
_LIGHT = 0.45

_CELLS = """rows => rows.filter(window.__suture.seen).map(row => [...row.cells].map(cell => cell.innerText.trim()))"""
_RING = """element => [element, ...element.querySelectorAll("*")].filter(window.__suture.seen).some(each => {
    const style = getComputedStyle(each);
    const drawn = each.matches("circle, path") && (style.fill === "none" || /a/i.test(each.getAttribute("d") ?? ""));
    return drawn || style.backgroundImage.includes("conic-gradient");
})"""
_PAINTS = """elements => elements.filter(window.__suture.seen).map(element => {
    const style = getComputedStyle(element);
    return style.fill === "none" || style.fill === "rgba(0, 0, 0, 0)" ? style.stroke : style.fill;
})"""
_CONIC = r"""element => [element, ...element.querySelectorAll("*")].flatMap(each =>
    getComputedStyle(each).backgroundImage.match(/conic-gradient.*/) ?? []).flatMap(text =>
    text.match(/rgba?\([^)]*\)/g) ?? [])"""
_BRIGHTNESS = """() => window.__suture.grounds().map(window.__suture.luminance)"""
_INK = """() => [...document.body.querySelectorAll("*")].filter(element =>
    window.__suture.seen(element) && [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())
).map(element => window.__suture.luminance(getComputedStyle(element).color) ?? 0.5)"""


def bars(page: Page) -> str:
    """Four and more, of different heights."""
    found = page.find_all(*_BARS)
    require(len(found) >= 4, f"{len(found)} bars can be seen")
    heights = {round(page.box(bar)["height"]) for bar in found}
    require(len(heights) >= 3, f"{len(found)} bars of {len(heights)} heights")
    return f"{len(found)} bars of {len(heights)} heights"


def tooltip(page: Page) -> str:
    """It can be seen over a bar and only there, and says something else over another bar."""
    found = page.find_all(*_BARS)
    require(len(found) >= 2, f"{len(found)} bars can be seen")
    said: list[str] = []
    for bar in (found[0], found[-1]):
        page.ask("() => scrollTo(0, 0)")
        before = page.texts()
        page.hover(bar)
        new = new_texts(before, page.texts())
        tips = [page.text(tip) for tip in page.find_all(*_TOOLTIP)]
        require(any(tips) or new, "nothing appears when the mouse is over a bar")
        said.append(" ".join(tips or new))
    require(new_texts([said[0]], [said[1]]), f"it says {said[0][:60]!r} over the first bar and over the last")
    require(re.search(r"\d", said[0]), f"no value in {said[0][:60]!r}")
    return f"says {said[0][:40]!r}, then {said[1][:40]!r}"


def donut(page: Page) -> str:
    """A ring, about as wide as it is high."""
    found = page.find(*_DONUT)
    require(found.evaluate(_RING), "there is no ring in it")
    parts = page.find_all("svg", within=found) or [found]
    box = page.box(parts[0])
    require(min(box["width"], box["height"]) > 20, f"{box['width']:.0f} x {box['height']:.0f} px")
    return f"{box['width']:.0f} x {box['height']:.0f} px"


def segments(page: Page) -> str:
    """Three and more, each of its own colour."""
    found = page.find(*_DONUT)
    for selector in _SEGMENTS:
        parts = found.locator(selector)
        colours: set[str] = set(parts.evaluate_all(_PAINTS)) - {"none"}
        if len(colours) >= 3:
            return f"{parts.count()} segments of {len(colours)} colours"
    colours = set(found.evaluate(_CONIC))
    require(len(colours) >= 3, "less than three segments of different colours can be seen")
    return f"a gradient of {len(colours)} colours"


def rows(page: Page) -> str:
    """Five and more, with something in them."""
    table = _cells(page)
    require(len(table) >= 5, f"{len(table)} rows can be seen")
    require(all(len([cell for cell in row if cell]) >= 2 for row in table), "a row is empty")
    return f"{len(table)} rows"


def ascending(page: Page) -> str:
    """A click on some column's head brings its values into ascending order."""
    return _sorts(page, clicks=1, in_order=_rises, name="ascending")


def descending(page: Page) -> str:
    """Another click on some column's head brings its values into descending order."""
    return _sorts(page, clicks=2, in_order=lambda values: _rises(values[::-1]), name="descending")


Values = Sequence[float] | Sequence[str]


def _sorts(page: Page, *, clicks: int, in_order: Callable[[Values], bool], name: str) -> str:
    """Try each column of numbers that is in no order yet, or of texts, where there is none."""
    before = _cells(page)
    heads = page.find_all(*_HEADS)
    require(before and heads, "no table with a head can be seen")
    columns = _unordered(before)
    require(columns, "every column is in order from the beginning")
    for column in columns:
        require(column < len(heads), f"column {column + 1} has no head")
        for _ in range(clicks):
            _click_head(page, heads[column])
        after = _cells(page)
        require(sorted(before) == sorted(after), "sorting changes what the rows hold")
        if in_order(_values([row[column] for row in after])):
            return f"column {column + 1} is {name} after {clicks} click{'s'[: clicks - 1]}"
    raise NotAsAskedError(f"no column is {name} after {clicks} click{'s'[: clicks - 1]}")


def _unordered(table: list[list[str]]) -> list[int]:
    """Return the columns that a sort would show in: of numbers, else of texts."""
    width = min(map(len, table))
    columns = {i: _values([row[i] for row in table]) for i in range(width)}
    mixed = {i: values for i, values in columns.items() if not _rises(values) and not _rises(values[::-1])}
    return [i for i, values in mixed.items() if isinstance(values[0], float)] or list(mixed)


def _values(texts: list[str]) -> Values:
    """Return the cells as numbers where all are, else as texts whose case does not count."""
    numbers = [_number(text) for text in texts]
    known = [number for number in numbers if number is not None]
    return known if len(known) == len(numbers) else [text.casefold() for text in texts]


def _number(text: str) -> float | None:
    found = _NUMBER.fullmatch(text.replace("\N{MINUS SIGN}", "-").strip())
    if found is None:
        return None
    return float(found[1].replace(",", "")) * _SCALES.get((found[2] or "").lower(), 1)


def _rises(values: Values) -> bool:
    return list(values) == sorted(values)


def _cells(page: Page) -> list[list[str]]:
    cells: list[list[str]] = page.all(*_ROWS).evaluate_all(_CELLS)
    return [row for row in cells if row]


def _click_head(page: Page, head: Locator) -> None:
    buttons = page.find_all("button", within=head)
    page.click(buttons[0] if buttons else head)


def sidebar(page: Page) -> str:
    """A click takes away a good part of its width."""
    bar = page.find(*_SIDEBAR)
    before = _visible_width(page, bar)
    page.click(page.find(*_SIDEBAR_TOGGLE))
    after = _visible_width(page, bar)
    require(after <= before * 0.75, f"its width goes from {before:.0f} to {after:.0f} px")
    return f"its width goes from {before:.0f} to {after:.0f} px"


def _visible_width(page: Page, element: Locator) -> float:
    if not page.is_seen(element):
        return 0.0
    box = page.box(element)
    return max(0.0, box["right"] - max(0.0, box["left"]))


def dark_grid(page: Page) -> str:
    """Dark behind light texts, and a grid."""
    grounds: list[float] = page.ask(_BRIGHTNESS)
    ink: list[float] = page.ask(_INK)
    dark = sum(brightness < _DARK for brightness in grounds) / len(grounds)
    require(dark > 0.8, f"{dark:.0%} of the window is dark")
    light = sum(brightness > _LIGHT for brightness in ink) / max(1, len(ink))
    require(light > 0.5, f"{light:.0%} of the texts are light")
    return f"{dark:.0%} of the window is dark; {has_layout(page, 'grid')}"


def interact(page: Page) -> None:
    """Sort the table, and point at a bar."""
    heads = page.find_all(*_HEADS)
    if heads:
        _click_head(page, heads[-1])
    page.hover(page.find(*_BARS))


ANALYTICS = Task(
    id="analytics-dashboard",
    title="analytics dashboard",
    prompt=PROMPT,
    checks=(
        *COMMON,
        BrowserCheck("bars", "at least 4 SVG bars", bars),
        BrowserCheck("tooltip", "tooltip on hover", tooltip),
        BrowserCheck("donut", "donut", donut),
        BrowserCheck("segments", "at least 3 segments", segments),
        BrowserCheck("table", "table of at least 5 rows", rows),
        BrowserCheck("ascending", "sort ascending", ascending),
        BrowserCheck("descending", "sort descending", descending),
        BrowserCheck("sidebar", "sidebar collapses", sidebar),
        BrowserCheck("dark-grid", "dark theme and CSS grid", dark_grid),
    ),
    interaction=interact,
)
