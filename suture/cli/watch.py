"""Noticing what changed at a recipe's sources: `suture watch`."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from suture.cli.flows import flows_command
from suture.cli.output import AsJson, RecipeFile

if TYPE_CHECKING:
    from suture.recipe import Recipe
    from suture.store import Store


def _look(recipe: Recipe, store: Store, quiet: timedelta, *, build: bool, as_json: bool) -> None:
    from rich.console import Console

    from suture.direct_watch import Command, build_due
    from suture.hub.watch import look_at
    from suture.show.watch import look_table

    look, due = look_at(recipe, store, quiet=quiet)
    if as_json:
        typer.echo(look.model_dump_json(indent=2))
    else:
        Console().print(look_table(look))
    if build and due is not None:
        argv, environment = flows_command("run")
        run = build_due(store, due, Command(argv, environment))
        typer.echo(f"Built: {run}" if run else "Another watcher is building it.", err=as_json)


def watch(
    recipe: RecipeFile,
    *,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Minutes between two looks.")] = 30.0,
    quiet_period: Annotated[
        float, typer.Option(min=0, help="Minutes that a change has to stay as it is before it is built.")
    ] = 15.0,
    build: Annotated[bool, typer.Option("--build", help="Run the recipe when a change is due.")] = False,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Take the licences as they are now; a changed one holds back.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Ask the hub what changed at a recipe's sources: nothing, only words, the licence, or what a build depends on.

    Fetches no weights. Without --build it only tells; what was seen is remembered in the store.
    """
    from suture.hub.watch import accept_licences
    from suture.recipe import load_recipe
    from suture.steps import store_of_this_machine

    asked, store = load_recipe(recipe), store_of_this_machine()
    if accept_licence:
        accept_licences(asked, store)
    while True:
        _look(asked, store, timedelta(minutes=quiet_period), build=build, as_json=as_json)
        if once:
            return
        time.sleep(60 * every)
