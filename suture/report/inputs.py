"""What a report is made from: the run's record, and which step of the plan made what."""

from __future__ import annotations

from typing import Literal

from suture.licences import Judgement
from suture.recipe import Part, Recipe
from suture.store import RunRecord

Role = Literal["source", "merged", "healed", "control", "reference"]


class SourceView(Part):
    """A source, pinned."""

    name: str
    """Its name in the recipe."""
    model: str
    """Repository, folder or builtin that it came from."""
    commit: str
    """What pins it."""
    licence: str


class StepView(Part):
    """A step of the plan."""

    label: str
    """Its name in the plan, such as `quantize merged Q4_K_M`; a training's ends in the name of its model."""
    step: str
    """Its kind, such as `quantize`."""
    key: str


class ArmView(Part):
    """A row of the scoreboard, by the keys of what was measured."""

    name: str
    role: Role
    quant: str
    """Quantization type; empty for a reference."""
    gguf: str
    """Key of the GGUF file."""
    perplexity: str
    """Key of the measurement; empty when none was asked for."""
    benchmark: str
    """Key of the measurement; empty when none was asked for."""
    divergence: str = ""
    """Key of the measurement; empty when none was asked for."""
    speed: str = ""
    """Key of the measurement; empty when none was asked for."""
    adapter: str = ""
    """Key of the GGUF LoRA that is served beside the file; empty where there is none."""


class ProbeView(Part):
    """A model that was looked into."""

    name: str
    """Its name."""
    role: Role
    key: str
    """Key of the probe."""


class ReportInput(Part):
    """A run and its plan."""

    recipe: Recipe
    run: RunRecord
    sources: tuple[SourceView, ...]
    steps: tuple[StepView, ...]
    """Every step of the plan, parents before children."""
    arms: tuple[ArmView, ...]
    """In the order of the scoreboard."""
    probes: tuple[ProbeView, ...] = ()
    """In the same order; empty when none were asked for."""
    licences: Judgement | None = None
    """What the licences of the final model's parts ask for; None where nobody asked."""
