"""What several tasks look at: themes, layouts, narrow windows, and what a click or the mouse brings to light."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from suture.bench.frontend.form import require
from suture.bench.frontend.page import PHONE, Page

if TYPE_CHECKING:
    from playwright.sync_api import Locator

_LEAST_CHANGED = 1 / 3
"""Of the points looked at: a theme that changes less than this leaves the page as it was."""

_LAYOUTS = """names => [...document.body.querySelectorAll("*"), document.body].filter(element =>
    names.includes(getComputedStyle(element).display.replace("inline-", ""))
    && window.__suture.seen(element)
    && [...element.children].filter(window.__suture.seen).length > 1
).length"""

_INK = """() => [...document.body.querySelectorAll("*")].filter(element =>
    window.__suture.seen(element) && [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())
).map(element => getComputedStyle(element).color)"""

_REACHABLE = """([element, width]) => {
    const box = element.getBoundingClientRect();
    if (box.left >= -1 && box.right <= width + 1) return true;
    for (let each = element.parentElement; each && each !== document.body; each = each.parentElement)
        if (/auto|scroll/.test(getComputedStyle(each).overflowX) && each.scrollWidth > each.clientWidth) return true;
    return false;
}"""


def theme_changes(page: Page, toggle: Locator) -> str:
    """Grounds change at many points of the window, and some text changes its colour with them."""
    grounds: list[str] = page.ask("() => window.__suture.grounds()")
    ink: list[str] = page.ask(_INK)
    page.click(toggle)
    later: list[str] = page.ask("() => window.__suture.grounds()")
    changed = sum(a != b for a, b in zip(grounds, later, strict=True)) / len(grounds)
    require(changed >= _LEAST_CHANGED, f"the background changes at {changed:.0%} of the points looked at")
    require(Counter(ink) != Counter(page.ask(_INK)), "the background changes, and no text does")
    return f"the background changes at {changed:.0%} of the points looked at, and so do texts"


def has_layout(page: Page, *names: str) -> str:
    """Some visible element with two visible children is laid out so."""
    number: int = page.ask(_LAYOUTS, list(names))
    require(number, f"no visible element has a layout by {' or '.join(names)}")
    return f"{number} elements with a layout by {' or '.join(names)}"


def fits_phone(page: Page, *content: str) -> str:
    """The window of a phone does not scroll sideways, and what the page is about can be reached in it."""
    page.resize(PHONE)
    width: int = page.ask("() => Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)")
    require(width <= PHONE[0] + 1, f"the page is {width} px wide in a window of {PHONE[0]} px")
    elements = page.find_all(*content)
    require(elements, f"nothing of {content[0]} can be seen in the narrow window")
    lost = [each for each in elements if not page.ask(_REACHABLE, [each.element_handle(), PHONE[0]])]
    require(not lost, f"{len(lost)} of {len(elements)} elements {content[0]} stick out of the window")
    return f"{width} px wide"


def new_texts(before: list[str], after: list[str]) -> list[str]:
    """Return the texts that were not there before, however often they are there now."""
    return list((Counter(after) - Counter(before)).elements())
