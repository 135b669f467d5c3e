"""A loaded page, as a person would use it: find what can be seen, click, type, wait, look.

The page's timers stand still unless `advance` moves them, so that a run does not depend on this machine's speed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from suture.bench.frontend.form import NotAsAskedError, require

if TYPE_CHECKING:
    from playwright.sync_api import Locator
    from playwright.sync_api import Page as Tab

DESKTOP = (1280, 800)
PHONE = (375, 740)

ACTION_SECONDS = 1.5
"""How long Playwright tries to click or fill what is there but cannot be reached."""

_PICTURE_SECONDS = 5.0

_GONE = re.compile("has been closed|crashed")

_CHUNK = 400  # ms
"""Timers and CSS animations take turns this often when the clock is moved."""

_TARGETS = "targets => targets.map(target => window.__suture.seen(target))"
_SELECTED = """element => {
    const input = element.matches("input") ? element : element.querySelector("input");
    const stated = ["aria-pressed", "aria-checked", "aria-selected", "aria-current"]
        .map(name => element.getAttribute(name)).filter(value => value !== null);
    if (stated.length) return stated.some(value => value !== "false");
    if (input) return input.checked;
    const marks = /^(is-)?(active|selected|current|checked|chosen)$|--(active|selected)$/;
    return [...element.classList].some(name => marks.test(name));
}"""


class Page:
    """A page of the task, with the errors that it ran into.

    Args:
        tab: Where it is loaded.
        errors: Messages of the errors that no script caught.
    """

    def __init__(self, tab: Tab, errors: list[str]) -> None:
        self._tab = tab
        self.errors = errors

    # -- finding ----------------------------------------------------------------------------------------------

    def find_all(self, *selectors: str, within: Locator | None = None) -> list[Locator]:
        """Return the visible elements of the first selector that has any; empty where none has."""
        for selector in selectors:
            found = (within or self._tab).locator(selector)
            seen: list[bool] = found.evaluate_all(_TARGETS)
            if any(seen):
                return [found.nth(i) for i, each in enumerate(seen) if each]
        return []

    def find(self, *selectors: str, within: Locator | None = None) -> Locator:
        """Return the first visible element of the first selector that has any.

        Raises:
            NotAsAskedError: When none has.
        """
        found = self.find_all(*selectors, within=within)
        require(found, f"nothing can be seen of {selectors[0]}")
        return found[0]

    def all(self, *selectors: str) -> Locator:
        """Return the elements, visible or not, of the first selector that has any.

        Raises:
            NotAsAskedError: When none has.
        """
        for selector in selectors:
            found = self._tab.locator(selector)
            if found.count():
                return found
        raise NotAsAskedError(f"there is no {selectors[0]}")

    # -- looking ----------------------------------------------------------------------------------------------

    def is_seen(self, element: Locator) -> bool:
        """Return whether a person could see an element."""
        return any(element.evaluate_all(_TARGETS))

    def texts(self, root: Locator | None = None) -> list[str]:
        """Return the texts that can be read, in the whole page or in an element's box."""
        return (root or self._tab.locator("body")).evaluate("root => window.__suture.texts(root)")

    def text(self, element: Locator) -> str:
        """Return what an element says, or the value of a field."""
        said: str = element.evaluate("element => element.value ?? element.innerText ?? element.textContent")
        return said.strip()

    def number(self, element: Locator) -> float:
        """Return the first number that an element shows.

        Raises:
            NotAsAskedError: When it shows none.
        """
        found = re.search(r"-?\d+(?:\.\d+)?", self.text(element).replace(",", ""))
        if found is None:
            raise NotAsAskedError(f"no number in {self.text(element)[:60]!r}")
        return float(found[0])

    def styles(self, element: Locator, *names: str) -> list[str]:
        """Return computed styles of an element."""
        return element.evaluate("(element, names) => names.map(name => getComputedStyle(element)[name])", list(names))

    def box(self, element: Locator) -> dict[str, float]:
        """Return where in the window an element lies: left, right, top, bottom, width, height."""
        return element.evaluate("element => element.getBoundingClientRect().toJSON()")

    def selected(self, element: Locator) -> bool:
        """Return whether an element says that it is selected: by ARIA, as a radio button, or by a usual class."""
        return element.evaluate(_SELECTED)

    def picture(self, element: Locator) -> bytes:
        """Return what an element looks like, as a PNG."""
        return element.screenshot(animations="disabled", timeout=ACTION_SECONDS * 1000)

    def ask(self, script: str, argument: object = None) -> Any:  # noqa: ANN401 -- the script decides
        """Return what a JavaScript function gives inside the page."""
        return self._tab.evaluate(script, argument)

    # -- doing ------------------------------------------------------------------------------------------------

    def click(self, element: Locator) -> None:
        """Click, on the label where a field hides behind it, and let what follows settle."""
        if not self.is_seen(element):
            element = element.locator("xpath=ancestor::label").or_(self._label(element)).first
        element.click(timeout=ACTION_SECONDS * 1000)
        self.settle()

    def _label(self, element: Locator) -> Locator:
        name: str = element.evaluate("element => element.id")
        return self._tab.locator(f'label[for="{name}"]')

    def fill(self, field: Locator, text: str) -> None:
        """Write into a field, key by key at its end, and leave it."""
        field.fill(text[:-1], timeout=ACTION_SECONDS * 1000)
        field.press("End")
        field.press_sequentially(text[-1:])
        field.blur()
        self.tick(400)  # as long as a page may wait before it judges

    def hover(self, element: Locator) -> None:
        """Move the mouse onto an element, as someone would who is after a tooltip."""
        element.scroll_into_view_if_needed(timeout=ACTION_SECONDS * 1000)
        box = self.box(element)
        middle = ((box["left"] + box["right"]) / 2, (box["top"] + box["bottom"]) / 2)
        self._tab.mouse.move(middle[0] - 1, middle[1] - 1)
        self._tab.mouse.move(*middle, steps=2)
        self.settle()

    def press(self, key: str) -> None:
        """Press and release a key, without waiting for anything."""
        self._tab.keyboard.press(key)

    def scroll(self, y: float) -> None:
        """Scroll the window to a height, by the wheel."""
        for _ in range(3):  # a page that scrolls smoothly, or grows on the way, takes more than one turn
            now = float(self.ask("() => scrollY"))
            if abs(now - y) < 2:
                break
            self._tab.mouse.wheel(0, y - now)
            self._tab.wait_for_timeout(120)  # the wheel's own time, not the page's
        self.settle()

    def resize(self, size: tuple[int, int]) -> None:
        """Give the window another size."""
        self._tab.set_viewport_size({"width": size[0], "height": size[1]})
        self.settle()

    def advance(self, milliseconds: int) -> None:
        """Let time pass for timers, frames, transitions and animations."""
        while milliseconds > 0:
            chunk = min(_CHUNK, milliseconds)
            self.tick(chunk)
            self.ask("chunk => window.__suture.advanceAnimations(chunk)", chunk)
            milliseconds -= chunk
        self.ask("() => window.__suture.frame()")

    def tick(self, milliseconds: int) -> None:
        """Let time pass for timers and frames alone."""
        from playwright.sync_api import Error

        try:
            self._tab.clock.run_for(milliseconds)
        except Error as error:  # the clock throws what a timer threw, after the other timers had their turn
            if _GONE.search(error.message):
                raise
            self.errors.append(error.message.removeprefix("Clock.run_for: ").split("\n")[0])

    def settle(self) -> None:
        """Let as much time pass as most transitions take."""
        self.advance(800)

    def reload(self) -> None:
        """Load the page again, with what it stored."""
        self._tab.reload()
        self.settle()

    def shoot(self) -> bytes:
        """Return a picture of the window, as a PNG."""
        return self._tab.screenshot(timeout=_PICTURE_SECONDS * 1000)
