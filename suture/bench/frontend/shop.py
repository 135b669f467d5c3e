"""Task 2: a product page of a shop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from suture.bench.frontend.common import COMMON, RULES
from suture.bench.frontend.form import BrowserCheck, Task, require
from suture.bench.frontend.looks import new_texts
from suture.bench.frontend.page import PHONE, Page

if TYPE_CHECKING:
    from playwright.sync_api import Locator

PROMPT = f"""\
Build the product page of an online shop as a single HTML file.

- Gallery: a large picture <img id="main-image"> and at least three small ones with class="thumbnail". A click on a \
small one shows its picture as the large one. Use data: URIs with SVG, each clearly different.
- Colours: at least three buttons with class="swatch", each filled with another colour. A click selects one; \
the selected one has aria-pressed="true", all others "false".
- Quantity: buttons with id="qty-minus" and id="qty-plus" around <input id="quantity">, which starts at 1 and \
never goes below 1.
- Tabs: at least two buttons with role="tab" (such as Description and Reviews) and one element with \
role="tabpanel" for each. Only the panel of the selected tab can be seen.
- A button with id="add-to-cart" adds the quantity to the number in the element with id="cart-count" in the header.
- In windows narrower than 768 px a bar with id="sticky-bar", with the price and a button to buy, stays at the \
bottom of the window while the page scrolls. The page is long enough to scroll there.

{RULES}"""

_MAIN = ("#main-image", "[data-testid=main-image]", "[class*=main-image], [class*=main-img], [class*=gallery-main]")
_THUMBNAILS = (".thumbnail", "[class*=thumb] img, [class*=thumb] button", "[class*=thumb]")
_SWATCHES = (".swatch", "[class*=swatch]:not(:has([class*=swatch]))", "[class*=color-option], [class*=colour-option]")
_PLUS = ("#qty-plus", "role=button[name=/^(\\+|increase.*|plus)$/i]", "[class*=plus]")
_MINUS = ("#qty-minus", "role=button[name=/^([-\u2212\u2013]|decrease.*|minus)$/i]", "[class*=minus]")
_QUANTITY = ("#quantity", "#qty", "input[type=number]", "[class*=quantity] [class*=value]")
_TABS = ("[role=tab]", "[class*=tab-btn], [class*=tab-button], .tab")
_PANELS = ("[role=tabpanel]", "[class*=tab-content], [class*=tab-panel], [class*=tab-pane]")
_BAR = ("#sticky-bar", "[class*=sticky], [class*=mobile-bar]")
_ADD = ("#add-to-cart", "role=button[name=/add to (cart|bag|basket)/i]")
_COUNT = ("#cart-count", "[class*=cart-count], [class*=cart-badge]")

_HIGH = 10

_FILL = """element => [element, ...element.querySelectorAll("*")].map(each => {
    const style = getComputedStyle(each);
    return style.backgroundImage !== "none" ? style.backgroundImage : style.backgroundColor;
}).find(text => text.includes("gradient") || window.__suture.luminance(text) !== null) ?? ''"""
_PINNED = """element => {
    for (let each = element; each; each = each.parentElement)
        if (/fixed|sticky/.test(getComputedStyle(each).position)) return true;
    return false;
}"""


def gallery(page: Page) -> str:
    """Each small picture makes the large one look different."""
    thumbnails = page.find_all(*_THUMBNAILS)
    require(len(thumbnails) >= 3, f"{len(thumbnails)} small pictures can be seen")
    looks: list[bytes] = []
    for thumbnail in thumbnails[:3]:
        page.click(thumbnail)
        looks.append(page.picture(_drawn(page)))
    different = len(set(looks))
    require(different == 3, f"clicks on three small pictures show {different} large ones")
    return "three clicks show three pictures"


def _drawn(page: Page) -> Locator:
    """Return the large picture itself, where the hook is a box around it, which may also count the pictures."""
    main = page.find(*_MAIN)
    inner = page.find_all("img", "svg", "canvas", within=main)
    return inner[0] if len(inner) == 1 else main


def swatches(page: Page) -> str:
    """Three and more, and of different colours."""
    found = page.find_all(*_SWATCHES)
    colours = {swatch.evaluate(_FILL) for swatch in found} - {""}
    require(len(colours) >= 3, f"{len(found)} swatches of {len(colours)} colours can be seen")
    return f"{len(found)} swatches of {len(colours)} colours"


def swatch_selects(page: Page) -> str:
    """A click selects one, and it alone; a click on another takes that over."""
    found = page.find_all(*_SWATCHES)
    require(len(found) >= 2, f"{len(found)} swatches can be seen")
    for position in (len(found) - 1, 0):
        page.click(found[position])
        selected = [i for i, swatch in enumerate(found) if page.selected(swatch)]
        require(selected == [position], f"after a click on swatch {position + 1}, {len(selected)} are selected")
    return "a click selects one and no other"


def plus(page: Page) -> str:
    """One more for each click."""
    before = _quantity(page)
    for clicks in (1, 2):
        page.click(page.find(*_PLUS))
        require(_quantity(page) == before + clicks, f"{clicks} clicks lead from {before:g} to {_quantity(page):g}")
    return f"from {before:g} to {before + 2:g} in two clicks"


def minus(page: Page) -> str:
    """One less for each click, but never less than one."""
    values: list[float] = []
    for _ in range(2):
        page.click(page.find(*_PLUS))
    high = _quantity(page)
    require(1 < high <= _HIGH, f"two clicks on plus lead to {high:g}, so that minus cannot be tried")
    for _ in range(int(high) + 3):
        button = page.find(*_MINUS)
        if button.is_disabled():
            break
        page.click(button)
        values.append(_quantity(page))
    require(values, "minus cannot be clicked")
    require(values[-1] == 1 and min(values) >= 1, f"minus leads from {high:g} to {values[-1]:g}")
    require(values[0] == high - 1, f"one click leads from {high:g} to {values[0]:g}")
    return f"from {high:g} down to 1"


def _quantity(page: Page) -> float:
    return page.number(page.find(*_QUANTITY))


def tabs(page: Page) -> str:
    """Each tab shows a panel of its own and hides the one before."""
    found = page.find_all(*_TABS)
    require(len(found) >= 2, f"{len(found)} tabs can be seen")
    said: list[str] = []
    for tab in [*found[1:3], found[0]]:
        page.click(tab)
        panels = page.find_all(*_PANELS)
        require(len(panels) == 1, f"{len(panels)} panels can be seen at once")
        said.append(page.text(panels[0]))
    require(len(set(said)) == len(said), "another tab shows the same panel")
    require(all(said), "a panel is empty")
    return f"{len(said)} tabs show {len(said)} panels"


def sticky(page: Page) -> str:
    """On a phone it stays where it is, at the window's edge, while the page moves."""
    page.resize(PHONE)
    room: float = page.ask("() => document.documentElement.scrollHeight - innerHeight")
    require(room > 100, f"the page cannot be scrolled on a phone: {room:.0f} px")
    places: list[float] = []
    for y in (room / 3, room * 2 / 3):
        page.scroll(y)
        bar = page.find(*_BAR)
        require(bar.evaluate(_PINNED), "the bar is not fixed")
        box = page.box(bar)
        require(
            box["top"] >= -1 and box["bottom"] <= PHONE[1] + 1, f"the bar leaves the window at {box['top']:.0f} px"
        )
        places.append(box["top"])
    require(abs(places[0] - places[1]) < 2, "the bar moves with the page")
    return f"stays at {places[0]:.0f} px of {PHONE[1]}"


def cart(page: Page) -> str:
    """The cart counts what is added; a page without a count says something at least."""
    counts = page.find_all(*_COUNT)
    texts = page.texts()
    page.click(page.find(*_ADD))
    if counts or page.find_all(*_COUNT):
        return _counts_on(page)
    said = new_texts(texts, page.texts())
    require(said, "nothing changes on the page")
    return f"the page says {said[0][:60]!r}"


def _counts_on(page: Page) -> str:
    """After the first click, whose count may have been hidden before: a second makes it one more."""
    first = page.number(page.find(*_COUNT))
    page.advance(3000)  # buttons that say "Added" for a while may be disabled meanwhile
    page.click(page.find(*_ADD))
    second = page.number(page.find(*_COUNT))
    require(first >= 1 and second == first + 1, f"the cart shows {first:g}, and after one more {second:g}")
    return f"the cart shows {first:g}, and after one more {second:g}"


def interact(page: Page) -> None:
    """Choose the last picture and colour, and add two to the cart."""
    for chosen in (_THUMBNAILS, _SWATCHES):
        found = page.find_all(*chosen)
        if found:
            page.click(found[-1])
    for button in (_PLUS, _ADD):
        page.click(page.find(*button))


SHOP = Task(
    id="shop-product-page",
    title="shop product page",
    prompt=PROMPT,
    checks=(
        *COMMON,
        BrowserCheck("gallery", "gallery swaps the image", gallery),
        BrowserCheck("swatches", "at least 3 colour swatches", swatches),
        BrowserCheck("swatch-selects", "a swatch selects", swatch_selects),
        BrowserCheck("plus", "plus works", plus),
        BrowserCheck("minus", "minus stops at 1", minus),
        BrowserCheck("tabs", "tabs switch", tabs),
        BrowserCheck("sticky-bar", "sticky bar on mobile", sticky),
        BrowserCheck("add-to-cart", "add to cart reacts", cart),
    ),
    interaction=interact,
)
