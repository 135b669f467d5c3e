from __future__ import annotations

import io

from rich.console import Console

from suture.report.data import ReportData
from suture.report.scoreboard import scoreboard


def printed(data: ReportData) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(scoreboard(data))
    return console.export_text()


def test_it_fits_into_80_characters(data: ReportData) -> None:
    text = printed(data)
    assert "…" not in text
    for arm in data.arms:
        assert arm.perplexity is not None
        assert f"{arm.perplexity.value} ± {arm.perplexity.error}" in text
        assert f"{arm.passed} of 10" in text


def test_what_is_missing_is_said(data: ReportData) -> None:
    arm = data.arms[3].model_copy(update={"perplexity": None, "passed": None, "size_bytes": None})
    text = printed(data.model_copy(update={"arms": (arm,)}))
    assert text.count("missing") == 3
