"""A real Chromium, and `suture up` for it to look at."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

CHECKOUT = Path(__file__).parents[2]

QUIET = ["disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-sync"]


@dataclass
class Up:
    """A running `suture up`."""

    process: subprocess.Popen[bytes]
    address: str


@pytest.fixture
def up(tmp_path: Path) -> Generator[Up]:
    """`suture up` at a free port, with the test's own store and state."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path / "up.log"
    command = [sys.executable, "-m", "deployments", "up", "--port", str(port)]
    with log.open("wb") as sink, subprocess.Popen(command, cwd=CHECKOUT, stdout=sink, stderr=sink) as process:
        try:
            deadline = time.monotonic() + 300
            while b"Ctrl-C stops it" not in log.read_bytes():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            yield Up(process, f"http://127.0.0.1:{port}")
        finally:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()


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
