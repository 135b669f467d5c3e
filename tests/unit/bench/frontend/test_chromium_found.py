"""Which Chromium is taken."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from suture.bench.frontend import open_browser
from suture.bench.frontend.chromium import find_chromium, running
from suture.errors import ToolError
from suture.settings import settings


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing on it yet."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("SUTURE_CHROMIUM", raising=False)
    settings.cache_clear()
    return folder


def program(path: Path) -> Path:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_none(programs: Path) -> None:
    assert list(programs.iterdir()) == []
    assert find_chromium() is None


def test_on_the_path_in_order(programs: Path) -> None:
    chrome = program(programs / "google-chrome")
    assert find_chromium() == chrome
    chromium = program(programs / "chromium")
    assert find_chromium() == chromium


def test_the_settings_come_first(programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(programs / "chromium")
    own = program(tmp_path / "my-chromium")
    monkeypatch.setenv("SUTURE_CHROMIUM", str(own))
    settings.cache_clear()
    assert find_chromium() == own


def test_what_the_settings_name_must_be_there(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(programs / "chromium")
    monkeypatch.setenv("SUTURE_CHROMIUM", str(tmp_path / "gone"))
    settings.cache_clear()
    with pytest.raises(ToolError, match="SUTURE_CHROMIUM"), open_browser():
        pass


def test_one_that_does_not_start(tmp_path: Path) -> None:
    broken = program(tmp_path / "chromium")
    broken.write_text("#!/bin/sh\necho a library is missing\nexit 1\n")
    with pytest.raises(ToolError, match="a library is missing"), running(broken):
        pass


def test_without_playwright_there_is_no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec

    def without(name: str, *rest: Any) -> Any:
        return None if name == "playwright" else find_spec(name, *rest)

    monkeypatch.setattr("importlib.util.find_spec", without)
    with open_browser() as browser:
        assert browser is None
