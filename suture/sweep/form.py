"""What is asked of a sweep. The descriptions are the help texts of Prefect's form."""

from __future__ import annotations

import hashlib
from typing import Annotated

from pydantic import Field

from suture.recipe import Part, Recipe
from suture.store import canonical_json


class Axis(Part):
    """One field of the recipe, and the values that it takes."""

    field: str = Field(min_length=1)
    """Where in the recipe it is, with dots between: `merge.t`, `heal.learning_rate`, `gguf.quantize`, or
    `merge.slices.0.layers` for the layers of the first slice."""

    values: Annotated[tuple[str, ...], Field(min_length=1)]
    """Its values, each as the recipe's YAML has it: `0.3`, `[0, 24]`, `[Q4_K_M]`."""


class Sweep(Part):
    """Run a recipe with each combination of values, and compare what comes of it."""

    recipe: Recipe
    """What all points have in common."""

    grid: Annotated[tuple[Axis, ...], Field(min_length=1)]
    """The fields that differ; every combination of their values is one point."""

    at_once: int = Field(default=2, ge=1)
    """How many points are run side by side. Others still get their turn in between."""

    @property
    def digest(self) -> str:
        """What tells this sweep from others: the same recipe and grid give the same one."""
        return hashlib.sha256(canonical_json(self.model_dump(mode="json", exclude={"at_once"})).encode()).hexdigest()

    @property
    def name(self) -> str:
        """Its name, for tags and folders."""
        return f"{self.recipe.name}-{self.digest[:8]}"

    @property
    def headline(self) -> str:
        """What it does, at a glance: `sweep demo-stack: merge.t, gguf.quantize`."""
        return f"sweep {self.recipe.name}: {', '.join(axis.field for axis in self.grid)}"
