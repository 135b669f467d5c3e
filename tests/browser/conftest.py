"""A real Chromium, and `suture up` for it to look at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.flows.serving import Up, serving

QUIET = ["disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-sync"]


@pytest.fixture
def up(tmp_path: Path) -> Generator[Up]:
    """`suture up`, with the test's own store and state."""
    with serving(tmp_path / "up.log") as running:
        yield running


@pytest.fixture
def page() -> Generator[Page]:
    """A page of Debian's Chromium; without one the test is skipped, where that is allowed."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Chromium: apt install chromium")
    options = [f"--{option}" for option in (*QUIET, *(["no-sandbox"] if os.geteuid() == 0 else []))]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        page = browser.new_page(viewport={"width": 1400, "height": 1100})
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        yield page
        browser.close()


@pytest.fixture
def shoot(page: Page, tmp_path: Path) -> Callable[[str], None]:
    """Saves a screenshot below SUTURE_SCREENSHOTS, for people to look at."""
    folder = Path(os.environ.get("SUTURE_SCREENSHOTS", tmp_path / "screenshots"))
    folder.mkdir(parents=True, exist_ok=True)

    def save(name: str) -> None:
        page.screenshot(path=folder / f"{name}.png")

    return save
