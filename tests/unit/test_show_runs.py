"""`suture runs` and `suture show`: what a person reads of the runs of a store."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from suture.cli import app
from suture.errors import HostError
from suture.report.build import build_report
from suture.report.inputs import ReportInput
from suture.settings import settings
from suture.store import RunRecord, SourceRecord, Store
from suture.store.runs import write_run
from tests.unit.report.demo_report import demo_run

WIDTH = 100
ADDRESS = "http://127.0.0.1:4200/runs/flow-run/0b0c5f0e-6f3a-4a51-9d3f-4d41cf0f7a11"
ERROR = "The disk that holds the store is full.\n  way out:  Free some space."


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, ReportInput]:
    """Three runs: the demo's, one that failed in its heal an hour later, and one that was killed after that."""
    store = Store(tmp_path_factory.mktemp("runs"))
    asked = demo_run(store)
    labels = tuple(step.label for step in asked.steps)
    sources = (SourceRecord(name="front", model="owner/" + "long-name-" * 8, commit="4a51" * 10),)
    whole = asked.run.model_copy(update={"labels": labels, "sources": sources, "flow_url": ADDRESS})
    write_run(store, whole)
    build_report(store, asked.model_copy(update={"run": whole}))
    heal = next(label for label in labels if label.startswith("heal"))
    write_run(store, later(whole, 1, state="failed", steps=whole.steps[:3], failed=(heal,), error=ERROR))
    store.remove(whole.keys[labels.index(heal)])
    write_run(store, later(whole, 2, state="running", steps=(), ended=None))
    return store, asked


@pytest.fixture
def asked(made: tuple[Store, ReportInput], monkeypatch: pytest.MonkeyPatch) -> ReportInput:
    """What the first run was made from; the commands find all three."""
    monkeypatch.setenv("SUTURE_STORE", str(made[0].root))
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    settings.cache_clear()
    return made[1]


def later(whole: RunRecord, hours: int, **changes: object) -> RunRecord:
    run = whole.run.replace("-0315", f"-0{3 + hours}15").replace("3fa9", f"000{hours}")
    return whole.model_copy(update={"run": run, "started": whole.started + timedelta(hours=hours), **changes})


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    app(arguments, standalone_mode=False)
    text = capsys.readouterr().out
    if "--json" not in arguments:
        assert all(len(line) <= WIDTH for line in text.splitlines()), text
    return text


@pytest.mark.usefixtures("asked")
def test_runs_newest_first(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [line.split() for line in shown(capsys, "runs").splitlines() if " demo-stack " in line]
    assert [row[0] for row in rows] == ["0002", "0001", "3fa9"]
    assert [row[2] for row in rows] == ["interrupted", "failed", "completed"]
    assert "..." not in shown(capsys, "runs")
    assert "1 of 3 runs" in shown(capsys, "runs", "-n", "1")
    data = json.loads(shown(capsys, "runs", "--json"))["runs"]
    assert [run["state"] for run in data] == ["interrupted", "failed", "completed"]
    assert data[2]["flow_url"] == ADDRESS
    assert data[2]["perplexity"] > 1
    assert data[1]["perplexity"] is None
    assert (data[1]["steps_done"], data[1]["steps_all"]) == (
        3,
        len(json.loads(shown(capsys, "show", "0001", "--json"))["steps"]),
    )


def test_one_run(asked: ReportInput, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "show", asked.run.run)
    assert ADDRESS in text
    assert "long-name-" * 4 in text
    assert all(step.label in text and step.key[:12] in text for step in asked.steps)
    assert all(arm.name in text for arm in asked.arms)
    assert f"{asked.run.run}/report.html" in text.replace("\n         ", "")
    page, markdown = (
        (settings().store / "runs" / asked.run.run / f"report.{kind}").read_text() for kind in ("html", "md")
    )
    assert f'href="{ADDRESS}"' in page
    assert f"]({ADDRESS})" in markdown
    data = json.loads(shown(capsys, "show", "3fa9", "--json"))
    assert data["settings"] == asked.run.recipe
    assert data["sources"][0]["commit"] == "4a51" * 10


@pytest.mark.usefixtures("asked")
def test_a_run_that_failed_tells_where_and_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "show", "0001")
    (failed,) = [line for line in text.splitlines() if " failed " in line and "heal" in line]
    assert "heal" in failed
    assert ERROR in text
    states = [step["state"] for step in json.loads(shown(capsys, "show", "0001", "--json"))["steps"]]
    assert states.count("failed") == 1


@pytest.mark.usefixtures("asked")
def test_the_last_run_was_killed_and_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "show", "last")
    assert "interrupted" in text
    assert "goes on from the last finished step" in text


@pytest.mark.usefixtures("asked")
def test_report_and_compare_take_the_same_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(shown(capsys, "report", "3fa9", "--json"))["flow_url"] == ADDRESS
    assert "no detectable difference" in shown(capsys, "compare", "3fa9", "3fa9", "--json")
    with pytest.raises(HostError, match="has no report"):
        shown(capsys, "report", "last")


def test_no_run_yet(capsys: pytest.CaptureFixture[str]) -> None:
    assert "suture run recipes/demo-stack.yaml" in shown(capsys, "runs")
    assert json.loads(shown(capsys, "runs", "--json")) == {"runs": []}
