from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from pydantic import ValidationError

from suture.errors import HostError
from suture.store import RunRecord, Store
from suture.store.runs import RunState, find_run, list_runs, new_run_id, read_run, running, write_run

START = datetime(2026, 11, 22, tzinfo=UTC)


def record(run: str, hours: int = 0, state: RunState = "completed") -> RunRecord:
    started = START + timedelta(hours=hours)
    return RunRecord(run=run, recipe={"name": "demo"}, started=started, state=state, keys=("k1", "k2"))


def hold_a_run(root: Path, run: str, ready: Path) -> None:
    store = Store(root)
    with running(store, run):
        write_run(store, record(run, state="running"))
        ready.touch()
        time.sleep(60)


def test_a_record_reads_back(store: Store) -> None:
    write_run(store, record("a"))
    assert read_run(store, "a") == record("a")


def test_newest_first_and_the_unreadable_left_out(store: Store) -> None:
    for number, name in enumerate(("b", "c", "a")):
        write_run(store, record(name, hours=number))
    (store.runs / "broken").mkdir()
    (store.runs / "broken" / "run.json").write_text('{"run": "broken"')
    (store.runs / "empty").mkdir()
    assert [found.run for found in list_runs(store)] == ["a", "c", "b"]


def test_a_run_whose_process_was_killed_was_interrupted(
    store: Store, tmp_path: Path, processes: ForkServerContext
) -> None:
    child = processes.Process(target=hold_a_run, args=(store.root, "a", tmp_path / "ready"))
    child.start()
    deadline = time.monotonic() + 30
    while not (tmp_path / "ready").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert read_run(store, "a").state == "running"
    child.kill()
    child.join()
    assert read_run(store, "a").state == "interrupted"


def test_finding_a_run(store: Store) -> None:
    write_run(store, record("old", hours=0))
    write_run(store, record("new", hours=1))
    write_run(store, record("failed", hours=2, state="failed"))
    assert find_run(store, "").run == "new"
    assert find_run(store, "failed").run == "failed"
    assert find_run(store, "last").run == "failed"
    with pytest.raises(HostError, match="There is no such run"):
        find_run(store, "none")


def test_a_part_of_a_runs_name_will_do(store: Store) -> None:
    for number, name in enumerate(
        ("20261122-031502-demo-3fa9", "20261122-031502-demo-3fa9-b-1c2d", "20261123-1-demo-77aa")
    ):
        write_run(store, record(name, hours=number))
    assert find_run(store, "20261123").run == "20261123-1-demo-77aa"
    assert find_run(store, "77aa").run == "20261123-1-demo-77aa"
    assert find_run(store, "20261122-031502-demo-3fa9").run == "20261122-031502-demo-3fa9", "a whole name is no part"
    with pytest.raises(HostError, match="Several runs could be meant") as caught:
        find_run(store, "20261122")
    assert "3fa9-b-1c2d" in str(caught.value)
    with pytest.raises(HostError, match="There is no such run"):
        find_run(store, "3fa")


def test_no_run_yet(store: Store) -> None:
    with pytest.raises(HostError, match="No run has completed yet"):
        find_run(store, "")


def test_ids_differ_and_sort_by_time() -> None:
    ids = [new_run_id("demo-stack") for _ in range(20)]
    assert len(set(ids)) == 20
    stamps = [name[:15] for name in ids]
    assert stamps == sorted(stamps)
    assert datetime.strptime(stamps[0], "%Y%m%d-%H%M%S").replace(tzinfo=UTC) <= datetime.now(UTC)


def test_a_record_knows_its_fields() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        RunRecord.model_validate(record("a").model_dump() | {"mood": "good"})
