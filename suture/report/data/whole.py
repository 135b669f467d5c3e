"""A whole report."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import JsonValue

from suture.licences import Judgement
from suture.report.data.arms import ArmData
from suture.report.data.compared import Recovery, Rivalry, Standing
from suture.report.data.made import MergeData, SourceData, StepData, TrainingData
from suture.report.data.probed import ProbeData
from suture.report.data.row import Row
from suture.store.runs import RunState

FORMAT = 3
"""Raised when an older Suture could not read a report.json any more."""


class Finding(Row):
    """A sentence that the numbers support."""

    about: Literal["merge", "healing", "control", "tests", "cost", "missing", "note"]
    tone: Literal["gain", "loss", "even", "note"]
    """`even`: no difference can be told."""
    text: str
    """The sentence."""
    numbers: str
    """What it rests on; empty when the sentence says it all."""

    def __str__(self) -> str:
        return f"{self.text} {self.numbers}".strip()


class ReportData(Row):
    """A whole report."""

    format: Literal[3] = FORMAT
    run: str
    flow_run: str
    """The Prefect flow run's id; empty without Prefect."""
    flow_url: str = ""
    """Address of its page; empty without Prefect."""
    name: str
    """The recipe's."""
    description: str
    state: RunState
    error: str
    started: datetime
    ended: datetime | None
    findings: tuple[Finding, ...]
    arms: tuple[ArmData, ...]
    recovery: tuple[Recovery, ...]
    trainings: tuple[TrainingData, ...]
    merges: tuple[MergeData, ...]
    """In the order they were made, the final one last."""
    standings: tuple[Standing, ...]
    """Each merge against its parents, text by text; empty for a single stack."""
    rivalries: tuple[Rivalry, ...]
    """Each pair of models that answered the same tests."""
    probes: tuple[ProbeData, ...] = ()
    """What was seen inside the final merge, its sources and what was made of it."""
    steps: tuple[StepData, ...]
    sources: tuple[SourceData, ...]
    licences: Judgement | None = None
    """What the licences of the final model's parts ask for; None where nobody asked."""
    tools: dict[str, tuple[str, ...]]
    """Step -> versions of the outside tool that it used."""
    packages: dict[str, tuple[str, ...]]
    """Package -> versions that made the artifacts; more than one where artifacts are older than the run."""
    recipe: JsonValue

    @property
    def seconds(self) -> float | None:
        """Wall time of the run; None while it runs."""
        return (self.ended - self.started).total_seconds() if self.ended else None
