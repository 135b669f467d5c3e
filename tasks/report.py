"""Report on a run."""

from __future__ import annotations

from typing import TypedDict

from prefect import task
from prefect.cache_policies import NO_CACHE

from suture.plan import report_input
from suture.report.build import build_report
from tasks.record import Book


class ReportReference(TypedDict):
    """What the flow returns: which run to ask the store for. No path."""

    run: str
    state: str


@task(name="report", task_run_name="report", cache_policy=NO_CACHE, persist_result=True, result_serializer="json")
def report(book: Book) -> ReportReference:
    """Write the report beside the run's record."""
    build_report(book.store, report_input(book.plan, book.record))
    return ReportReference(run=book.record.run, state=book.record.state)
