"""A page's place in the browser: its own origin, no network, a clock that stands, nothing kept between checks."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from suture.bench.frontend.browser import Browser
from suture.bench.frontend.page import ACTION_SECONDS, DESKTOP, Page

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Dialog, Route
    from playwright.sync_api import Page as Tab

_MORNING = "2026-06-15T09:00:00Z"
"""What a page takes for now, so that what it shows does not depend on when it is looked at."""

_START_MS = 1000
"""Time that a page is given to set itself up after loading."""

_INSIDE, _SPIES = (
    resources.files("suture.bench.frontend").joinpath(name).read_text() for name in ("inside.js", "spies.js")
)


class Visit:
    """Loads one page as often as it is asked for, each time as if for the first time.

    Args:
        browser: Whose thread this runs in.
        address: Where the page believes to be.
        html: The page.

    Attributes:
        crashed: Whether the page's process died since it was last opened.
        loading: Whether it has not come to the end of loading.
    """

    def __init__(self, browser: Browser, address: str, html: str) -> None:
        self._browser = browser
        self._address = address
        self._html = html
        self._context: BrowserContext | None = None
        self._tab: Tab | None = None
        self._errors: list[str] = []
        self.crashed = False
        self.loading = False

    def load(self) -> Page:
        """Load the page, and give it a moment."""
        tab = self._ready()
        self.loading = True
        tab.goto("about:blank")
        tab.set_viewport_size({"width": DESKTOP[0], "height": DESKTOP[1]})
        tab.mouse.move(0, 0)
        self._forget(tab)
        self._errors.clear()
        tab.goto(self._address)
        page = Page(tab, self._errors)
        page.advance(_START_MS)
        self.loading = False
        return page

    def close(self) -> None:
        """Leave the place; no harm if it is gone."""
        if self._context is not None and self._browser.connection() is self._context.browser:
            self._context.close()
        self._context = None

    def _ready(self) -> Tab:
        connection = self._browser.connection()
        if self._context is None or self._context.browser is not connection:
            self._context = connection.new_context(
                accept_downloads=False,
                color_scheme="light",
                locale="en-US",
                service_workers="block",
                timezone_id="UTC",
            )
            self._tab = self._furnish(self._context)
        assert self._tab is not None  # noqa: S101 -- made with the context
        return self._tab

    def _furnish(self, context: BrowserContext) -> Tab:
        context.set_default_timeout(ACTION_SECONDS * 1000)
        context.set_default_navigation_timeout(0)  # `Browser.at_most` sees to that
        context.route("**/*", self._answer)
        context.add_init_script(_INSIDE)
        context.clock.install(time=_MORNING)
        context.clock.pause_at(_MORNING)
        context.add_init_script(_SPIES)
        tab = context.new_page()
        context.on("page", _close)
        tab.on("dialog", _accept)
        tab.on("pageerror", lambda error: self._errors.append(error.message))
        tab.on("crash", lambda _: self._crash())
        self.crashed = False
        return tab

    def _crash(self) -> None:
        self.crashed = True

    def _answer(self, route: Route) -> None:
        """Give the page to whoever asks for its address, whatever the query, as a server would; else nothing."""
        with _whether_or_not_it_is_there():
            if urlunsplit((*urlsplit(route.request.url)[:3], "", "")) == self._address:
                route.fulfill(body=self._html, content_type="text/html; charset=utf-8")
            else:
                route.abort("aborted")

    def _forget(self, tab: Tab) -> None:
        session: Any = tab.context.new_cdp_session(tab)  # what it sends and gets is not typed
        origin = urlunsplit((*urlsplit(self._address)[:2], "", "", ""))
        session.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
        session.detach()


def _close(popup: Tab) -> None:
    with _whether_or_not_it_is_there():
        popup.close()


def _accept(dialog: Dialog) -> None:
    with _whether_or_not_it_is_there():
        dialog.accept()


@contextlib.contextmanager
def _whether_or_not_it_is_there() -> Generator[None]:
    """Pass over that the browser was ended meanwhile: nobody could catch that where Playwright calls back."""
    from playwright.sync_api import Error

    with contextlib.suppress(Error):
        yield
