"""The report in the store: written whole, read again when the artifacts are gone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from suture.errors import HostError
from suture.report.build import build_report, load_report
from suture.report.inputs import ReportInput
from suture.store import Store


def test_three_files_beside_the_record(store: Store, demo: ReportInput) -> None:
    files = build_report(store, demo)
    folder = store.runs / demo.run.run
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json", "report.md"]
    assert files.html.read_text().startswith("<!doctype html>")
    assert files.markdown.read_text().startswith("# demo-stack\n")
    assert json.loads(files.json.read_bytes())["arms"][3]["perplexity"] == {"value": 22.31, "error": 0.47}


def test_the_same_run_gives_the_same_bytes(store: Store, demo: ReportInput) -> None:
    def written() -> list[bytes]:
        files = build_report(store, demo)
        return [path.read_bytes() for path in (files.html, files.markdown, files.json)]

    assert written() == written()


def test_an_old_report_needs_no_artifacts(store: Store, demo: ReportInput) -> None:
    built = build_report(store, demo)
    for key in store.list_keys():
        store.remove(key)
    assert load_report(store, demo.run.run) == built


def test_a_run_without_a_report(store: Store) -> None:
    with pytest.raises(HostError, match="no report"):
        load_report(store, "20260101-000000-nothing-0000")


@pytest.mark.parametrize("content", ['{"format": 99}', "{", "[]"])
def test_a_report_of_another_version(store: Store, demo: ReportInput, content: str) -> None:
    path: Path = build_report(store, demo).json
    path.write_text(content)
    with pytest.raises(HostError, match="another version"):
        load_report(store, demo.run.run)
