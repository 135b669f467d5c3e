"""Report on a run."""

from __future__ import annotations

from typing import TypedDict

from prefect import task
from prefect.cache_policies import NO_CACHE

from suture.plan import Plan, judge_plan
from suture.report.build import build_report
from suture.report.inputs import ArmView, ProbeView, ReportInput, SourceView, StepView
from suture.store import RunRecord
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


def report_input(plan: Plan, record: RunRecord) -> ReportInput:
    """Return what the report is made from."""
    return ReportInput(
        recipe=plan.recipe,
        run=record,
        sources=tuple(
            SourceView(name=pinned.name, model=pinned.model, commit=pinned.commit, licence=pinned.licence)
            for source in plan.sources
            for pinned in (source, source.adapter)
            if pinned is not None
        ),
        steps=tuple(StepView(label=step.label, step=step.step, key=step.key) for step in plan.steps),
        arms=tuple(
            ArmView(
                name=arm.name,
                role=arm.role,
                quant=arm.quant,
                gguf=arm.gguf.key,
                perplexity=arm.perplexity.key,
                benchmark=arm.benchmark.key,
                divergence=arm.divergence.key if arm.divergence else "",
                speed=arm.speed.key if arm.speed else "",
                adapter=arm.lora.key if arm.lora else "",
            )
            for arm in plan.arms
        ),
        probes=tuple(ProbeView(name=probed.name, role=probed.role, key=probed.probe.key) for probed in plan.probes),
        licences=judge_plan(plan),
    )
