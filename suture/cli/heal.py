"""Healing alone: `suture heal`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from suture.cli.output import AsJson, RecipeFile


def heal(
    recipe: RecipeFile,
    *,
    preview: Annotated[
        bool, typer.Option("--preview", help="Show what the heal would train on, and train nothing.")
    ] = False,
    samples: Annotated[int, typer.Option(min=1, help="Rows to show with --preview.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Merge and heal a recipe's model, without converting or measuring it; or look at its training data."""
    from suture.direct_heal import heal_alone, preview_data
    from suture.progress import Lines
    from suture.recipe import load_recipe
    from suture.show.heal import preview_json, preview_text

    asked, progress = load_recipe(recipe), Lines("heal")
    if not preview:
        typer.echo(heal_alone(asked, progress))
        return
    found = preview_data(asked, samples, progress)
    if as_json:
        typer.echo(json.dumps(preview_json(found), indent=2))
        return
    from rich.console import Console

    console = Console()
    for part in preview_text(found):
        console.print(part, highlight=False)
