"""The record of a run in the store: what was asked, what became of each step, how it ended."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from datetime import UTC, datetime

from prefect.events import emit_event
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run

from suture import process
from suture.plan import Plan
from suture.steps import PlannedStep
from suture.store import RunRecord, SourceRecord, StepRecord, Store
from suture.store.runs import RunState, new_run_id, running, write_run
from tasks.labels import address_of_run

Futures = Mapping[str, PrefectFuture]
"""Key of a step -> its task run."""


class Book:
    """Keeps one run's record up to date."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self.store = store
        self.plan = plan
        self.record = RunRecord(
            run=new_run_id(plan.recipe.name),
            recipe=plan.recipe.model_dump(mode="json"),
            started=datetime.now(UTC),
            keys=tuple(step.key for step in plan.steps),
            labels=tuple(step.label for step in plan.steps),
            sources=tuple(
                SourceRecord(name=pinned.name, model=pinned.model, commit=pinned.commit) for pinned in plan.pinned
            ),
            flow_run=str(flow_run.id or ""),
            flow_url=address_of_run(),
        )
        self.failure: Exception | None = None
        self.failed: list[str] = []

    def close(self, futures: Futures) -> None:
        """Wait for all steps and write down what became of them; one that failed stops only what needs it."""
        steps: list[StepRecord] = []
        for planned in self.plan.steps:
            future = futures[planned.key]
            future.wait()
            if future.state.is_completed():
                steps.append(_step_record(planned, future))
            elif future.state.is_failed():
                self.failed.append(planned.label)
                self.failure = self.failure or future.result(raise_on_failure=False)
        self.end("failed" if self.failure else "completed", tuple(steps))

    def end(self, state: RunState, steps: tuple[StepRecord, ...]) -> None:
        """Write how the run ended."""
        self.record = self.record.model_copy(
            update={
                "state": state,
                "steps": steps,
                "ended": datetime.now(UTC),
                "failed": tuple(self.failed),
                "error": _told(self.failure),
            }
        )
        write_run(self.store, self.record)
        if state != "interrupted":  # whoever interrupts it waits for its end, and knows
            _tell(self.record, self.plan.recipe.name)


def _tell(record: RunRecord, recipe: str) -> None:
    """Say how a run ended as an event, which automations can be made of: a message, another deployment."""
    emit_event(
        f"suture.run.{record.state}",
        resource={"prefect.resource.id": f"suture.run.{record.run}", "prefect.resource.name": record.run},
        related=[
            {"prefect.resource.id": f"suture.recipe.{recipe}", "prefect.resource.role": "recipe"},
            {"prefect.resource.id": f"prefect.flow-run.{record.flow_run}", "prefect.resource.role": "flow-run"},
        ],
        payload={"recipe": recipe, "failed": list(record.failed), "error": record.error},
    )


@contextlib.contextmanager
def recorded(plan: Plan, store: Store) -> Generator[Book]:
    """Keep a record of the run while the block runs; raises the failure of its first failed step in the end.

    When the block is interrupted (Ctrl-C, a cancel in the UI), the steps in progress are ended.
    """
    process.stopping.clear()
    book = Book(plan, store)
    with running(store, book.record.run):
        write_run(store, book.record)
        try:
            yield book
        except Exception as error:
            book.failure = error
            book.end("failed", book.record.steps)
            raise
        except BaseException:
            process.stop()
            book.end("interrupted", book.record.steps)
            raise
    if book.failure is not None:
        book.failure.add_note(f"What was finished is in the report: {store.runs / book.record.run / 'report.html'}")
        raise book.failure


def _told(failure: Exception | None) -> str:
    """Return an error as the command line shows it: with the way out, and with what was added to it on its way."""
    return "" if failure is None else "\n".join([str(failure), *getattr(failure, "__notes__", ())])


def _step_record(planned: PlannedStep, future: PrefectFuture) -> StepRecord:
    result = future.result()
    return StepRecord(
        label=planned.label,
        step=planned.step,
        key=planned.key,
        cached=result["cached"],
        seconds=result["seconds"],
    )
