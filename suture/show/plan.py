"""What a plan looks like in a terminal: sources, steps, disk; and as data."""

from __future__ import annotations

from pydantic import JsonValue
from rich.markup import escape
from rich.table import Table

from suture.hub.pins import Pinned
from suture.licences import Judgement
from suture.plan import Plan, judge_plan, needed_bytes
from suture.progress import human_bytes
from suture.show.store import KEY_DIGITS
from suture.store import Store


def sources_table(plan: Plan) -> Table:
    """Return the pinned sources and data sets: where they come from, at which commit, how large."""
    table = Table(title="Sources", title_justify="left")
    for column in ("name", "model", "commit", "licence", "layers", "parameters", "size"):
        table.add_column(column, justify="right" if column in ("layers", "parameters", "size") else "left")
    for source in plan.sources:
        table.add_row(*_pinned(source, str(source.layout.layers)))
        if source.adapter is not None:
            table.add_row(*_pinned(source.adapter, "adapter"))
    for data in plan.datasets:
        table.add_row("data", escape(data.repo), data.commit[:KEY_DIGITS], escape(data.licence), "data set", "", "")
    return table


def _pinned(pinned: Pinned, layers: str) -> tuple[str, ...]:
    parameters = f"{pinned.layout.parameters / 1e6:,.1f} M"
    identity = (pinned.name, escape(pinned.model), pinned.commit[:KEY_DIGITS], escape(pinned.licence))
    return (*identity, layers, parameters, human_bytes(pinned.layout.size))


def steps_table(plan: Plan, store: Store) -> Table:
    """Return the steps in order: key, whether the artifact is there, expected size."""
    table = Table(title=f"Steps of {plan.recipe.name}", title_justify="left")
    table.add_column("step")
    table.add_column("key")
    table.add_column("in the store")
    table.add_column("expected size", justify="right")
    for step in plan.steps:
        there = "[green]yes[/green]" if store.has(step.key) else "to be built"
        table.add_row(step.label, step.key[:KEY_DIGITS], there, human_bytes(step.size) if step.size else "small")
    return table


def licences_table(judgement: Judgement) -> Table:
    """Return what the licences of the final model's parts ask for, and whether they go together."""
    table = Table(title=f"Licences: {judgement.verdict}", title_justify="left")
    for column in ("what", "asked by", "for"):
        table.add_column(column, overflow="fold")
    for problem in judgement.problems:
        table.add_row(f"[red]{escape(problem)}[/red]")
    for asked in judgement.requirements:
        table.add_row(escape(asked.text), escape(", ".join(asked.licences)), escape(", ".join(asked.parts)))
    table.caption = (
        "A summary of what the parts' cards name, to be read with the licences themselves; no legal advice."
    )
    table.caption_justify = "left"
    return table


def disk_line(plan: Plan, store: Store) -> str:
    """Return one line: bytes needed against bytes free."""
    needed, free = needed_bytes(plan, store), store.free_bytes()
    verdict = "enough" if needed <= free else "NOT ENOUGH"
    return f"Disk: {human_bytes(needed)} needed, {human_bytes(free)} free at {store.root}: {verdict}."


def plan_data(plan: Plan, store: Store) -> dict[str, JsonValue]:
    """Return a plan as data."""
    return {
        "recipe": plan.recipe.model_dump(mode="json"),
        "sources": [
            {
                "name": source.name,
                "model": source.model,
                "commit": source.commit,
                "licence": source.licence,
                "layers": source.layout.layers,
                "parameters": source.layout.parameters,
                "size_bytes": source.layout.size,
            }
            for source in plan.sources
        ],
        "datasets": [data.model_dump(mode="json", include={"repo", "commit", "licence"}) for data in plan.datasets],
        "steps": [
            {
                "label": step.label,
                "step": step.step,
                "key": step.key,
                "parents": [parent.key for parent in step.parents],
                "tool": step.tool,
                "in_store": store.has(step.key),
                "expected_bytes": step.size,
            }
            for step in plan.steps
        ],
        "arms": [{"name": arm.name, "role": arm.role, "quant": arm.quant} for arm in plan.arms],
        "licences": judge_plan(plan).model_dump(mode="json"),
        "disk": {"needed_bytes": needed_bytes(plan, store), "free_bytes": store.free_bytes()},
    }
