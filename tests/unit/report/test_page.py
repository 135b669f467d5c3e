"""The page in a real browser: wide and narrow, light and dark."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from suture.report.data import ReportData
from suture.report.html import html_page

PHONE, DESKTOP = 375, 1280


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(data: ReportData, tmp_path_factory: pytest.TempPathFactory) -> str:
    file: Path = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(html_page(data))
    return file.as_uri()


def opened(browser: Browser, address: str, width: int, scheme: Literal["light", "dark"]) -> tuple[Page, list[str]]:
    """Open the page, and return it with all that it complained about or asked for beside itself."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    noise: list[str] = []
    page.on("console", lambda message: noise.append(message.text))
    page.on("request", lambda request: noise.append(request.url) if request.url != address else None)
    page.goto(address)
    return page, noise


def style(page: Page, selector: str, name: str) -> Any:
    return page.eval_on_selector(selector, f"element => getComputedStyle(element).{name}")


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_asks_for_nothing(
    browser: Browser, address: str, width: int, scheme: Literal["light", "dark"]
) -> None:
    page, noise = opened(browser, address, width, scheme)
    for summary in page.query_selector_all("summary"):
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert noise == []


def test_it_is_dark_where_the_reader_wants_it_dark(browser: Browser, address: str) -> None:
    light, dark = (opened(browser, address, DESKTOP, scheme)[0] for scheme in ("light", "dark"))
    assert style(light, "body", "backgroundColor") == "rgb(253, 252, 253)"
    assert style(dark, "body", "backgroundColor") == "rgb(22, 20, 26)"
    label = "figure svg text"
    assert style(light, label, "fill") != style(dark, label, "fill")


def test_a_phone_shows_cards_and_a_desktop_a_table(browser: Browser, address: str) -> None:
    phone, desktop = (opened(browser, address, width, "light")[0] for width in (PHONE, DESKTOP))
    assert (style(phone, ".board tr.arm", "display"), style(phone, ".board thead", "display")) == ("grid", "none")
    assert style(desktop, ".board tr.arm", "display") == "table-row"
    for cell in phone.query_selector_all(".board tbody td"):
        box = cell.bounding_box()
        assert box is not None
        assert 0 < box["x"] < box["x"] + box["width"] < PHONE


def test_plot_text_stays_readable_on_a_phone(browser: Browser, address: str) -> None:
    page, _ = opened(browser, address, PHONE, "light")
    heights = [text.bounding_box() for text in page.query_selector_all("figure svg text")]
    assert min(box["height"] for box in heights if box and box["height"]) >= 9
