"""The licences of a model's parts, as a table and in words."""

from __future__ import annotations

from suture.licences import Judgement
from suture.report.tables import Table

NOTE = "A summary of what the parts' cards name, to be read with the licences themselves; no legal advice."

_VERDICTS = {
    "ok": "The licences of all parts ask for nothing.",
    "obligations": "The licences of all parts go together, and ask for this:",
    "conflict": "The licences of the parts do not go together.",
    "unknown": "The licence of a part is not known.",
}


def verdict_words(judgement: Judgement) -> str:
    """Return the verdict as a sentence, with the reasons for a bad one."""
    problems = "; ".join(judgement.problems)
    return f"{_VERDICTS[judgement.verdict]} {problems}{'.' if problems else ''}".rstrip()


def licence_rows(judgement: Judgement | None) -> Table:
    """Return one row for each thing that must be done, or must not."""
    if judgement is None:
        return []
    return [
        {"what": asked.text, "asked by": ", ".join(asked.licences), "for": ", ".join(asked.parts)}
        for asked in judgement.requirements
    ]
