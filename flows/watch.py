"""Noticing what changed at the sources of recipes, and building them anew."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from prefect import flow
from pydantic import Field, JsonValue

from suture.recipe import Part, Recipe, load_recipe
from tasks.watch import watch_recipe


class Watching(Part):
    """What to watch, and what to do about it."""

    recipes: tuple[Recipe, ...] = ()
    """Recipes whose sources are looked at."""

    files: tuple[Path, ...] = ()
    """Files on the worker's machine that hold more of them, ours or mergekit's."""

    quiet_minutes: float = Field(default=15.0, ge=0)
    """How long a change has to stay as it is before it is built: models are uploaded in several commits."""

    deployment: str = "build_model/build-model"
    """What builds a changed recipe; empty to build nothing and only tell."""

    @property
    def title(self) -> str:
        """What the run is called: the recipes' names, and those of the files."""
        names = [*(recipe.name for recipe in self.recipes), *(path.stem for path in self.files)]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"watch {', '.join(names[:3]) or 'nothing'}{more}"


@flow(name="watch", flow_run_name="{watching.title}", persist_result=True, result_serializer="json")
def watch(watching: Watching) -> list[dict[str, JsonValue]]:
    """Ask the hub for the commit of every source; when what a build depends on has changed, build it once."""
    recipes = [*watching.recipes, *map(load_recipe, watching.files)]
    quiet = timedelta(minutes=watching.quiet_minutes)
    futures = [watch_recipe.submit(recipe, quiet, watching.deployment) for recipe in recipes]
    return [future.result() for future in futures]
