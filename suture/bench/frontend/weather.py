"""Task 1: a weather dashboard."""

from __future__ import annotations

import re

from suture.bench.frontend.common import COMMON, RULES
from suture.bench.frontend.document import Document
from suture.bench.frontend.form import BrowserCheck, StaticCheck, Task, require
from suture.bench.frontend.looks import fits_phone, has_layout, theme_changes
from suture.bench.frontend.page import Page
from suture.bench.frontend.syntax import used_variables

PROMPT = f"""\
Build a weather dashboard as a single HTML file.

- Show the current weather of a city (temperature, condition, humidity, wind) in a large card, with made-up data.
- Show a forecast of exactly five days in an element with id="forecast". Each day is an element with \
class="forecast-day" and shows the day's name, its condition and its temperature with a degree sign, such as 21°.
- A button with id="theme-toggle" switches between a light and a dark theme: backgrounds and texts change colour.
- Define the colours as CSS custom properties and use them with var().
- Lay the page out with CSS grid or flexbox. At a width of 375 px everything fits without scrolling sideways.

{RULES}"""

TOGGLES = (
    "#theme-toggle",
    "[data-testid=theme-toggle]",
    "role=button[name=/dark|light|theme|mode|night/i]",
    "role=switch",
    "[class*=theme-toggle], [class*=dark-toggle], [class*=mode-toggle]",
)
_DAYS = ("#forecast .forecast-day", ".forecast-day", "[class*=forecast] > [class*=day], [class*=forecast-card]")
_FEWEST_VARIABLES = 2


def variables(document: Document) -> str:
    """Colours are worth a variable only if there is more than one."""
    names = used_variables([*document.styles, *document.inline_styles])
    require(len(names) >= _FEWEST_VARIABLES, f"{len(names)} custom properties are both set and used")
    return f"{len(names)} custom properties are set and used"


def dark_mode(page: Page) -> str:
    """The toggle changes what is seen."""
    return theme_changes(page, page.find(*TOGGLES))


def five_days(page: Page) -> str:
    """Five entries with a temperature each."""
    days = page.find_all(*_DAYS)
    require(len(days) == 5, f"{len(days)} forecast entries can be seen, not 5")
    said = [page.text(day) for day in days]
    bare = [text for text in said if not re.search(r"-?\d+\s*[°º˚]", text.replace("\N{MINUS SIGN}", "-"))]
    require(not bare, f"no temperature in {bare[:1]}")
    require(len({text.split()[0] for text in said}) == 5, f"the days do not differ: {said}")
    return "five days with their temperatures"


def layout(page: Page) -> str:
    """Something visible is laid out by grid or flexbox."""
    return has_layout(page, "grid", "flex")


def narrow(page: Page) -> str:
    """Nothing sticks out of a phone's window, the forecast least."""
    return fits_phone(page, *_DAYS)


def interact(page: Page) -> None:
    """Switch the theme."""
    page.click(page.find(*TOGGLES))


WEATHER = Task(
    id="weather-dashboard",
    title="weather dashboard",
    prompt=PROMPT,
    checks=(
        *COMMON,
        StaticCheck("css-variables", "CSS variables in use", variables),
        BrowserCheck("dark-mode", "dark mode changes colours", dark_mode),
        BrowserCheck("forecast", "5 forecast entries", five_days),
        BrowserCheck("layout", "grid or flex layout", layout),
        BrowserCheck("no-overflow", "no horizontal overflow at 375 px", narrow),
    ),
    interaction=interact,
)
