"""Healing alone: `suture heal`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from suture.cli.output import AsJson, RecipeFile, show


def heal(
    recipe: RecipeFile,
    *,
    preview: Annotated[
        bool, typer.Option("--preview", help="Show what the heal would train on, and train nothing.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Train two steps on the longest samples, throw them away, and tell what memory, time and disk the "
            "whole training takes. The merge and the data are made if need be.",
        ),
    ] = False,
    samples: Annotated[int, typer.Option(min=1, help="Rows to show with --preview.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Merge and heal a recipe's model, without converting or measuring it; or look at what that takes."""
    from suture.direct_heal import dry_run_alone, heal_alone, preview_data
    from suture.progress import Lines
    from suture.recipe import load_recipe
    from suture.show.heal import estimate_table, preview_json, preview_text

    asked, progress = load_recipe(recipe), Lines("heal")
    if dry_run:
        estimate = dry_run_alone(asked, progress)
        show(estimate.model_dump(mode="json"), [estimate_table(estimate)], as_json=as_json)
        return
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
