"""A plan as the report sees it: which artifacts its numbers are read from."""

from __future__ import annotations

from suture.plan.form import Plan
from suture.plan.terms import judge_plan
from suture.report.inputs import ArmView, ProbeView, ReportInput, SourceView, StepView
from suture.store import RunRecord


def report_input(plan: Plan, record: RunRecord) -> ReportInput:
    """Return what the report is made from."""
    return ReportInput(
        recipe=plan.recipe,
        run=record,
        sources=tuple(
            SourceView(name=pinned.name, model=pinned.model, commit=pinned.commit, licence=pinned.licence)
            for pinned in plan.pinned
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
