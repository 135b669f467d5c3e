"""The pages that models wrote, in the report: pictures small enough to carry, counts that tell what was skipped."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import pytest
from PIL import Image

from suture.report.data import ReportData
from suture.report.html import html_page
from suture.report.inputs import ArmView, ReportInput
from suture.report.pages import pictures_of
from suture.store import Manifest, Store
from tests.unit.report.demo_report import STARTED, demo_run
from tests.unit.report.test_html import Page


@pytest.fixture
def with_pages(data: ReportData) -> ReportData:
    """The demo's report, one arm of which also wrote two pages."""
    first, *others = data.arms
    pages = [
        first.tests[0].model_copy(update={"id": id_, "category": "frontend", **counts})
        for id_, counts in {
            "weather-dashboard": {"checks": 9, "checks_passed": 8, "checks_skipped": 0},
            "snake-game": {"checks": 12, "checks_passed": 3, "checks_skipped": 9},
        }.items()
    ]
    arm = first.model_copy(update={"tests": (*first.tests, *pages)})
    return data.model_copy(update={"arms": (arm, *others)})


def test_pages_are_shown_with_their_counts(with_pages: ReportData) -> None:
    page = html_page(with_pages, {with_pages.arms[0].name: {"weather-dashboard": b"picture"}})
    read = Page(page)
    assert read.open == []
    assert f"{with_pages.arms[0].name}: 11 of 12 checks hold" in read.text
    assert "8 of 9" in read.text
    assert "3 of 3, 9 skipped" in read.text
    assert re.findall(r'<img src="([^"]*)"', page) == [
        f"data:image/webp;base64,{base64.b64encode(b'picture').decode()}"
    ]


def test_without_pages_there_is_no_such_section(data: ReportData) -> None:
    assert "<h2>Pages</h2>" not in html_page(data)


def test_pictures_are_read_from_the_benchmarks_artifact(tmp_path: Path) -> None:
    store = Store(tmp_path)
    asked = demo_run(store)
    key = "ab" * 32
    with store.lock(key), store.workspace(key) as work:
        (work.out / "screenshots").mkdir()
        for moment in ("start", "interaction", "375"):
            Image.new("RGB", (1280, 2400), "teal").save(work.out / "screenshots" / f"snake-game-{moment}.png")
        head = Manifest(
            key=key, step="benchmark", version=2, spec="", parents=(), tool="", files=(), facts={}, host={},
            created=STARTED, seconds=1.0,
        )  # fmt: skip
        store.commit(work, head)
    arms = tuple(
        ArmView.model_validate({**arm.model_dump(), "benchmark": key}) if arm.name == "a" else arm
        for arm in asked.arms
    )
    found = pictures_of(store, ReportInput.model_validate({**asked.model_dump(), "arms": arms}))
    assert list(found) == ["a"]
    assert list(found["a"]) == ["snake-game"]
    with Image.open(io.BytesIO(found["a"]["snake-game"])) as image:
        assert image.format == "WEBP"
        assert image.width <= 480
        assert image.height <= 360
        assert abs(image.convert("RGB").getpixel((10, 10))[1] - 128) < 8  # pyright: ignore[reportOptionalSubscript, reportIndexIssue]
