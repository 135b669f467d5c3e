"""Records of runs: what was asked, which artifacts it used, how it ended. They are the roots of collection."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from suture.errors import HostError
from suture.store import durable, locks
from suture.store.store import Store

RunState = Literal["running", "completed", "failed", "interrupted"]


class StepRecord(BaseModel):
    """One step of one run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    step: str
    key: str
    cached: bool
    seconds: float
    """Time it took to build in this run, without the wait for its turn; near 0 for a cached step."""


class SourceRecord(BaseModel):
    """One source of a run, pinned."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """What the recipe calls it."""
    model: str
    """Repository, folder or builtin."""
    commit: str
    """What pins it."""


class RunRecord(BaseModel):
    """One run of one recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    recipe: JsonValue
    started: datetime
    ended: datetime | None = None
    state: RunState = "running"
    keys: tuple[str, ...]
    """Keys of every step of the plan, done or not."""
    labels: tuple[str, ...] = ()
    """What the plan calls these steps, in the same order."""
    sources: tuple[SourceRecord, ...] = ()
    steps: tuple[StepRecord, ...] = ()
    """Those that were done, once the run has ended."""
    flow_run: str = ""
    """The Prefect flow run's id."""
    flow_url: str = ""
    """Address of its page."""
    failed: tuple[str, ...] = ()
    """What the plan calls the steps that failed."""
    error: str = ""
    """Why the first of them failed: the whole error, with the way out."""

    @property
    def seconds(self) -> float | None:
        """Wall time; None while it runs, and of a run that was killed."""
        return (self.ended - self.started).total_seconds() if self.ended else None


def new_run_id(recipe_name: str) -> str:
    """Return a name that sorts by time: `20261122-031502-demo-stack-3fa9`."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{recipe_name}-{secrets.token_hex(2)}"


@contextlib.contextmanager
def running(store: Store, run: str) -> Generator[Path]:
    """Mark a run as alive while the block runs; yields its folder."""
    folder = store.runs / run
    with store.in_use():
        folder.mkdir(parents=True, exist_ok=True)
        with locks.locked(folder / "alive.lock"):
            yield folder


def write_run(store: Store, record: RunRecord) -> None:
    """Write a run's record durably."""
    folder = store.runs / record.run
    folder.mkdir(parents=True, exist_ok=True)
    durable.write_atomically(folder / "run.json", record.model_dump_json(indent=1).encode())


def read_run(store: Store, run: str) -> RunRecord:
    """Return a run's record; one that says running but whose process is gone was interrupted."""
    folder = store.runs / run
    record = RunRecord.model_validate_json((folder / "run.json").read_bytes())
    if record.state == "running" and not locks.is_locked(folder / "alive.lock"):
        return record.model_copy(update={"state": "interrupted"})
    return record


def list_runs(store: Store) -> list[RunRecord]:
    """Return all runs, newest first; unreadable records are left out."""
    return read_runs(store)[0]


def read_runs(store: Store) -> tuple[list[RunRecord], list[str]]:
    """Return all runs, newest first, and the folders whose records cannot be read: of a newer Suture, or damaged."""
    records: list[RunRecord] = []
    unreadable: list[str] = []
    for path in sorted(store.runs.glob("*/run.json")):
        try:
            records.append(read_run(store, path.parent.name))
        except (ValidationError, OSError):
            unreadable.append(path.parent.name)
    return sorted(records, key=lambda record: record.started, reverse=True), unreadable


def find_run(store: Store, run: str) -> RunRecord:
    """Return the run that a user means.

    Args:
        store: Holds the runs.
        run: Its name, how that begins, or its last digits; `last` for the newest run, and nothing for the newest that
            completed.

    Raises:
        HostError: When there is none, or several could be meant.
    """
    records = list_runs(store)
    if not run:
        records = [record for record in records if record.state == "completed"]
    elif run != "last":
        records = _meant(records, run)
    if records:
        return records[0]
    raise HostError(
        "There is no such run." if run else "No run has completed yet.",
        where=store.runs,
        found=run or None,
        way_out="`suture runs` lists those there are; `suture run recipes/demo-stack.yaml` makes one.",
    )


def _meant(records: list[RunRecord], run: str) -> list[RunRecord]:
    exact = [record for record in records if record.run == run]
    found = exact or [record for record in records if record.run.startswith(run) or record.run.endswith(f"-{run}")]
    if len(found) > 1:
        raise HostError(
            "Several runs could be meant.",
            expected="more of the run's name",
            found=", ".join(record.run for record in found[:5]) + (" ..." if len(found) > 5 else ""),
            way_out="`suture runs` lists them.",
        )
    return found
