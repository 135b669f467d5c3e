"""What runs look like in a terminal: all of them in a table, one of them in full; and as data."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import JsonValue
from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from suture.errors import CorruptArtifactError, HostError
from suture.report import numbers
from suture.report.build import load_report
from suture.report.data import ArmData, ReportData
from suture.show.store import KEY_DIGITS
from suture.store import Manifest, RunRecord, StepRecord, Store
from suture.store.runs import RunState

_STYLES: dict[RunState, str] = {"running": "cyan", "completed": "green", "failed": "red", "interrupted": "yellow"}


def runs_table(store: Store, records: Sequence[RunRecord], all_runs: int) -> Table:
    """Return one row per run.

    Args:
        store: Holds them.
        records: Those to show, newest first.
        all_runs: How many there are.
    """
    table = _table(f"{len(records)} of {all_runs} runs", "run", "recipe", "state", "started")
    table.columns[1].no_wrap, table.columns[1].overflow = False, "fold"
    for column in ("took", "steps", "cached", "perplexity", "tests"):
        table.add_column(column, justify="right", no_wrap=True)
    for record in records:
        result = result_of(report_of(store, record))
        link = f"link {record.flow_url}" if record.flow_url else ""
        table.add_row(
            Text(record.run.rpartition("-")[2], style=link),
            recipe_name(record),
            Text(record.state, style=_STYLES[record.state]),
            f"{record.started.astimezone():%d %b %H:%M}",
            _took(record),
            f"{done(store, record)}/{len(record.keys)}",
            str(_cached(record)) if record.steps else numbers.MISSING,
            numbers.with_error(result.perplexity).partition(" ")[0] if result else numbers.MISSING,
            numbers.passed(result) if result else numbers.MISSING,
        )
    table.caption = (
        "Perplexity and tests are of the healed model, or of the merge where nothing is healed.\n"
        "`suture show RUN` tells more; in most terminals a run's digits lead to its page in Prefect."
    )
    return table


def run_head(store: Store, record: RunRecord) -> Table:
    """Return what, when, how it ended, and where to read on."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    report = store.runs / record.run / "report.html"
    rows = {
        "run": record.run,
        "recipe": escape(recipe_name(record)),
        "state": f"[{_STYLES[record.state]}]{record.state}[/]",
        "started": f"{record.started.astimezone():%Y-%m-%d %H:%M:%S}",
        "took": _took(record),
        "steps": f"{done(store, record)} of {len(record.keys)} done"
        + f", {_cached(record)} cached" * bool(record.steps),
        "Prefect": escape(record.flow_url or record.flow_run or numbers.MISSING),
        "report": escape(str(report)) if report.exists() else numbers.MISSING,
    }
    for name, value in rows.items():
        table.add_row(name, value)
    if record.state == "interrupted":
        table.add_row("way out", "Run the recipe again: it goes on from the last finished step.")
    return table


def run_tables(store: Store, record: RunRecord) -> list[Table]:
    """Return a run's sources, steps and models."""
    tables = [_sources(record), _steps(store, record), _models(report_of(store, record))]
    return [table for table in tables if table.row_count]


def report_of(store: Store, record: RunRecord) -> ReportData | None:
    """Return a run's report; None where there is none, or one of another version."""
    try:
        return load_report(store, record.run).data
    except HostError:
        return None


def result_of(report: ReportData | None) -> ArmData | None:
    """Return what came of a run: its best healed model, or its best merge where nothing is healed."""
    arms = report.arms if report else ()
    made = [arm for arm in arms if arm.role == "healed"] or [arm for arm in arms if arm.is_final]
    return min(made, key=lambda arm: arm.perplexity.value if arm.perplexity else float("inf"), default=None)


def done(store: Store, record: RunRecord) -> int:
    """Return how many of a run's steps are done; of one that has not come to its end, what the store holds."""
    return len(record.steps) or sum(store.has(key) for key in record.keys)


def recipe_name(record: RunRecord) -> str:
    """Return the name of a run's recipe."""
    name = record.recipe.get("name") if isinstance(record.recipe, dict) else None
    return name if isinstance(name, str) else ""


def runs_data(store: Store, records: Sequence[RunRecord]) -> dict[str, JsonValue]:
    """Return runs as data."""
    return {"runs": [_summary(store, record) for record in records]}


def run_data(store: Store, record: RunRecord) -> dict[str, JsonValue]:
    """Return one run as data, in full."""
    report = report_of(store, record)
    return {
        **_summary(store, record),
        "sources": [source.model_dump(mode="json") for source in record.sources],
        "failed": list(record.failed),
        "error": record.error,
        "report": str(store.runs / record.run / "report.html") if report else None,
        "steps": [_step_data(store, record, number) for number in range(len(record.keys))],
        "models": [
            arm.model_dump(mode="json", include={"name", "role", "quant", "key", "perplexity", "passed", "total"})
            for arm in (report.arms if report else ())
        ],
        "settings": record.recipe,
    }


def _summary(store: Store, record: RunRecord) -> dict[str, JsonValue]:
    result = result_of(report_of(store, record))
    return {
        "run": record.run,
        "recipe": recipe_name(record),
        "state": record.state,
        "started": record.started.isoformat(),
        "seconds": record.seconds,
        "steps_done": done(store, record),
        "steps_all": len(record.keys),
        "steps_cached": _cached(record),
        "perplexity": result.perplexity.value if result and result.perplexity else None,
        "passed": result.passed if result else None,
        "total": result.total if result else None,
        "flow_run": record.flow_run,
        "flow_url": record.flow_url,
    }


def _step_data(store: Store, record: RunRecord, number: int) -> dict[str, JsonValue]:
    key = record.keys[number]
    step, manifest = _step(record, key), _manifest(store, key)
    return {
        "label": _label(record, number),
        "key": key,
        "state": _state(record, number, manifest),
        "seconds": step.seconds if step else None,
        "size_bytes": manifest.size if manifest else None,
    }


# -- tables -------------------------------------------------------------------------------------------------------


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.title_justify = table.caption_justify = "left"
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _sources(record: RunRecord) -> Table:
    table = _table("Sources", "name", "model", "commit")
    table.columns[1].no_wrap, table.columns[1].overflow = False, "fold"
    for source in record.sources:
        table.add_row(source.name, escape(source.model), source.commit[:KEY_DIGITS])
    return table


def _steps(store: Store, record: RunRecord) -> Table:
    table = _table("Steps", "step", "state", "key")
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    for number, key in enumerate(record.keys):
        step, manifest = _step(record, key), _manifest(store, key)
        state = _state(record, number, manifest)
        table.add_row(
            escape(_label(record, number)),
            Text(state, style={"cached": "dim", "failed": "red", "not done": "yellow"}.get(state, "")),
            key[:KEY_DIGITS],
            numbers.duration(step.seconds) if step and not step.cached else numbers.MISSING,
            numbers.size(manifest.size if manifest else None),
        )
    table.caption = "`suture store path KEY` prints where a step's files lie."
    return table


def _models(report: ReportData | None) -> Table:
    table = _table("Models", "model", "quant")
    for column in ("perplexity", "tests", "size"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("key", no_wrap=True)
    for arm in report.arms if report else ():
        table.add_row(
            arm.name,
            numbers.quant(arm),
            numbers.with_error(arm.perplexity),
            numbers.passed(arm),
            numbers.files(arm),
            arm.key[:KEY_DIGITS],
        )
    return table


def _state(record: RunRecord, number: int, manifest: Manifest | None) -> str:
    step = _step(record, record.keys[number])
    if step is not None:
        return "cached" if step.cached else "built"
    if _label(record, number) in record.failed:
        return "failed"
    return "done" if manifest else "not done"


def _step(record: RunRecord, key: str) -> StepRecord | None:
    return next((step for step in record.steps if step.key == key), None)


def _took(record: RunRecord) -> str:
    if record.state == "running":
        return f"{numbers.duration((datetime.now(UTC) - record.started).total_seconds())} so far"
    return numbers.duration(record.seconds)


def _cached(record: RunRecord) -> int:
    return sum(step.cached for step in record.steps)


def _label(record: RunRecord, number: int) -> str:
    return record.labels[number] if record.labels else ""


def _manifest(store: Store, key: str) -> Manifest | None:
    try:
        return store.load(key).manifest if store.has(key) else None
    except CorruptArtifactError:
        return None
