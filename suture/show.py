"""What the terminal shows: plans, stores and inspected files as tables."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import JsonValue
from rich.table import Table

from suture.errors import CorruptArtifactError
from suture.gguf.metadata import SOURCES, Summary
from suture.plan import Plan, needed_bytes
from suture.progress import human_bytes
from suture.store import Store
from suture.store.fsck import Finding

KEY_DIGITS = 12
"""Enough of a key to tell artifacts apart, and to type."""

_SHOWN_CHARACTERS = 200
"""How much of a long value, such as a chat template, is shown."""


def sources_table(plan: Plan) -> Table:
    """Return the pinned sources: where they come from, at which commit, how large."""
    table = Table(title="Sources", title_justify="left")
    for column in ("name", "model", "commit", "licence", "layers", "parameters", "size"):
        table.add_column(column, justify="right" if column in ("layers", "parameters", "size") else "left")
    for source in plan.sources:
        layout = source.layout
        parameters = f"{layout.parameters / 1e6:,.1f} M"
        row = (source.name, source.model, source.commit[:KEY_DIGITS], source.licence, str(layout.layers))
        table.add_row(*row, parameters, human_bytes(layout.size))
    return table


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
        "disk": {"needed_bytes": needed_bytes(plan, store), "free_bytes": store.free_bytes()},
    }


def artifacts_table(store: Store) -> Table:
    """Return every artifact: key, step, size, when it was made and how long that took."""
    table = Table(title=str(store.root), title_justify="left")
    for column in ("key", "step", "size", "files", "made", "took"):
        table.add_column(column, justify="right" if column in ("size", "files", "took") else "left")
    total = 0
    for key in store.list_keys():
        try:
            manifest = store.load(key).manifest
        except CorruptArtifactError:
            table.add_row(key[:KEY_DIGITS], "[red]damaged: suture store fsck[/red]")
            continue
        total += manifest.size
        table.add_row(
            key[:KEY_DIGITS],
            manifest.step,
            human_bytes(manifest.size),
            str(len(manifest.files)),
            f"{manifest.created:%Y-%m-%d %H:%M}",
            f"{manifest.seconds:.1f} s",
        )
    table.caption = f"{table.row_count} artifacts, {human_bytes(total)}"
    return table


def findings_table(findings: list[Finding]) -> Table:
    """Return what a check of the store found."""
    table = Table(title="Check of the store", title_justify="left")
    table.add_column("key")
    table.add_column("finding")
    for finding in findings:
        table.add_row(finding.key[:KEY_DIGITS], finding.problem)
    return table


def gguf_tables(summary: Summary) -> list[Table]:
    """Return what a GGUF holds: where it came from, its other metadata, and the mix of tensor types."""
    ours = {name: value for name, value in summary.metadata.items() if name.startswith("suture.")}
    others = {name: value for name, value in summary.metadata.items() if name not in ours}
    sources: list[dict[str, str]] = json.loads(str(ours.pop(SOURCES, "[]")))
    tables = [_pairs_table("Made by Suture", ours), _sources_table(sources)] if ours else []
    return [*tables, _pairs_table("Metadata", others), _types_table(summary)]


def gguf_data(summary: Summary) -> dict[str, JsonValue]:
    """Return what a GGUF holds as data."""
    return {
        "size_bytes": summary.size,
        "type": summary.type,
        "tensors": summary.tensors,
        "parameters": summary.parameters,
        "bits_per_weight": summary.bits_per_weight,
        "metadata": {
            name: json.loads(str(value)) if name == SOURCES else value for name, value in summary.metadata.items()
        },
        "types": {share.type: {"tensors": share.tensors, "size_bytes": share.size} for share in summary.types},
    }


def _pairs_table(title: str, pairs: Mapping[str, JsonValue]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column("key", no_wrap=True)
    table.add_column("value", overflow="fold")
    for name, value in pairs.items():
        text = str(value)
        table.add_row(name, text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]} ...")
    return table


def _sources_table(sources: list[dict[str, str]]) -> Table:
    table = Table(title="Sources", title_justify="left")
    for column in ("name", "model", "commit", "licence"):
        table.add_column(column, overflow="fold")
    for source in sources:
        table.add_row(source["name"], source["model"], source["commit"], source["licence"])
    return table


def _types_table(summary: Summary) -> Table:
    table = Table(title=f"{summary.type}, {summary.bits_per_weight:.2f} bits per weight", title_justify="left")
    for column in ("type", "tensors", "parameters", "size"):
        table.add_column(column, justify="left" if column == "type" else "right")
    for share in summary.types:
        table.add_row(share.type, str(share.tensors), f"{share.parameters / 1e6:,.1f} M", human_bytes(share.size))
    table.caption = f"{summary.tensors} tensors, {human_bytes(summary.size)}"
    return table
