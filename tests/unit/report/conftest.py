from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from suture.report.data import ReportData
from suture.report.gather import gather
from suture.report.inputs import ReportInput
from suture.store import Store
from tests.unit.report.demo_report import blend_run, demo_run

Lose = Callable[..., ReportInput]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, ReportInput]:
    """A store with the artifacts of a completed run of the demo; no test changes it."""
    store = Store(tmp_path_factory.mktemp("finished"))
    return store, demo_run(store)


@pytest.fixture(scope="session")
def demo(finished: tuple[Store, ReportInput]) -> ReportInput:
    """What the demo's report is made from."""
    return finished[1]


@pytest.fixture(scope="session")
def data(finished: tuple[Store, ReportInput]) -> ReportData:
    """The demo's report."""
    return gather(*finished)


@pytest.fixture(scope="session")
def blend(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    """The report of rival blends."""
    store = Store(tmp_path_factory.mktemp("blend"))
    return gather(store, blend_run(store))


@pytest.fixture
def store(finished: tuple[Store, ReportInput], tmp_path: Path) -> Store:
    """A copy of the demo's store, for one test to change."""
    return Store(Path(shutil.copytree(finished[0].root, tmp_path / "store")))


@pytest.fixture
def lose(store: Store, demo: ReportInput) -> Lose:
    """Returns the demo as a run that failed before the steps with these labels had ended."""

    def failed(*labels: str) -> ReportInput:
        for step in demo.steps:
            if step.label in labels:
                store.remove(step.key)
        records = tuple(record for record in demo.run.steps if record.label not in labels)
        run = demo.run.model_copy(update={"state": "failed", "error": "The disk is full.", "steps": records})
        return demo.model_copy(update={"run": run})

    return failed
