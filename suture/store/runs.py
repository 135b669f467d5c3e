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
    steps: tuple[StepRecord, ...] = ()
    flow_run: str = ""
    """The Prefect flow run's id."""
    error: str = ""


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
    records: list[RunRecord] = []
    for path in store.runs.glob("*/run.json"):
        with contextlib.suppress(ValidationError, OSError):
            records.append(read_run(store, path.parent.name))
    return sorted(records, key=lambda record: record.started, reverse=True)


def find_run(store: Store, run: str) -> RunRecord:
    """Return the run with this name, or the newest one that completed when `run` is empty.

    Raises:
        HostError: When there is none.
    """
    for record in list_runs(store):
        if record.run == run or (not run and record.state == "completed"):
            return record
    raise HostError(
        "There is no such run." if run else "No run has completed yet.",
        where=store.runs,
        found=run or None,
        way_out="Run a recipe first: `suture run recipes/demo-stack.yaml`.",
    )
