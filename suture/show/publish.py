"""What a publication looks like in a terminal, and as data."""

from __future__ import annotations

from pydantic import JsonValue
from rich.markup import escape
from rich.table import Table

from suture.hub.provenance import Problem
from suture.progress import human_bytes
from suture.publish import Draft, UploadPlan

_WORDS = {"add": "new", "replace": "changed", "keep": "there already", "delete": "to be removed"}


def upload_table(plan: UploadPlan) -> Table:
    """Return what becomes of each file."""
    state = "exists" if plan.exists else "will be made"
    table = Table(title=f"{escape(plan.repo)} ({state})", title_justify="left")
    table.add_column("file", overflow="fold")
    table.add_column("size", justify="right")
    table.add_column("in the repository")
    for change in plan.changes:
        table.add_row(escape(change.name), human_bytes(change.size), _WORDS[change.action])
    table.caption = "nothing to send" if plan.is_empty else f"{human_bytes(plan.size)} to send"
    table.caption_justify = "left"
    return table


def verdict_line(draft: Draft) -> str:
    """Return what the licences mean for the publication."""
    judgement = draft.judgement
    problems = f": {'; '.join(judgement.problems)}" if judgement.problems else ""
    if judgement.may_be_published:
        return f"Licences: {judgement.verdict}."
    if draft.override:
        return f"Licences: {judgement.verdict}{problems}. Published all the same: {draft.override}"
    return f"Licences: {judgement.verdict}{problems}. It would not be published without --override-licence."


def publication_data(draft: Draft, plan: UploadPlan, commit: str = "", url: str = "") -> dict[str, JsonValue]:
    """Return a publication as data."""
    return {
        "repo": plan.repo,
        "exists": plan.exists,
        "parent": plan.parent,
        "commit": commit,
        "url": url,
        "licences": draft.judgement.model_dump(mode="json"),
        "override": draft.override,
        "bytes": plan.size,
        "files": [{"name": change.name, "size": change.size, "action": change.action} for change in plan.changes],
        "card": draft.card,
    }


def problems_table(problems: list[Problem]) -> Table:
    """Return what in a folder does not fit its statement of provenance."""
    table = Table(title="Does not fit provenance.json", title_justify="left")
    table.add_column("file", overflow="fold")
    table.add_column("problem", overflow="fold")
    for problem in problems:
        table.add_row(escape(problem.file), escape(problem.text))
    return table
