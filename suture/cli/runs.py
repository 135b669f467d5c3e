"""Whole runs: `suture plan | schema | run | up | report | compare`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from suture.cli.output import AsJson, RecipeFile, show
from suture.errors import HostError


def plan(recipe: RecipeFile, *, as_json: AsJson = False) -> None:
    """Show what a recipe would do: pinned sources, steps, sizes, disk. Changes nothing."""
    from rich.console import Console

    from suture.plan import resolve
    from suture.recipe import load_recipe
    from suture.show.plan import disk_line, plan_data, sources_table, steps_table
    from suture.steps import store_of_this_machine

    resolved, store = resolve(load_recipe(recipe)), store_of_this_machine()
    if as_json:
        typer.echo(json.dumps(plan_data(resolved, store), indent=2))
        return
    console = Console()
    console.print(sources_table(resolved))
    console.print(steps_table(resolved, store))
    console.print(disk_line(resolved, store), highlight=False)


def schema() -> None:
    """Print the JSON schema of a recipe, for editors."""
    from suture.recipe import Recipe

    typer.echo(json.dumps(Recipe.model_json_schema(), indent=2))


def run(recipe: RecipeFile) -> NoReturn:
    """Run a recipe: fetch, merge, heal, convert, quantize, measure, report."""
    _become_flows("run", str(recipe))


def up(port: Annotated[int, typer.Option(help="Port of the Prefect UI.")] = 4200) -> NoReturn:
    """Start the Prefect server, a worker and the deployments; Ctrl-C stops all of it."""
    _become_flows("up", "--port", str(port))


def report(
    run: Annotated[
        str, typer.Argument(metavar="[RUN]", help="Which run; the newest that completed if left out.")
    ] = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Print the scoreboard of a run, and where its report lies."""
    from rich.console import Console

    from suture.report.build import load_report
    from suture.report.scoreboard import scoreboard
    from suture.steps import store_of_this_machine
    from suture.store.runs import find_run

    store = store_of_this_machine()
    files = load_report(store, find_run(store, run).run)
    if as_json:
        typer.echo(files.json.read_text())
        return
    console = Console()
    console.print(scoreboard(files.data))
    console.print(f"Report: {files.html}", highlight=False, soft_wrap=True)


def compare(
    first: Annotated[
        str, typer.Argument(metavar="A", help="A run, or a folder of `suture bench`.", show_default=False)
    ],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one.", show_default=False)],
    *,
    as_json: AsJson = False,
) -> None:
    """Show what changed between two runs, and whether it is more than noise."""
    from suture.show.versus import versus_data, versus_table
    from suture.steps import store_of_this_machine
    from suture.versus import compare_runs, side

    store = store_of_this_machine()
    one, other = side(store, first), side(store, second)
    rows = compare_runs(one, other)
    show(versus_data(one, other, rows), [versus_table(one, other, rows)], as_json=as_json)


def _become_flows(*arguments: str) -> NoReturn:
    """Become `python -m deployments ...`, from the checkout or image that this package lies in."""
    root = Path(__file__).resolve().parents[2]
    if not (root / "deployments" / "__main__.py").is_file():
        raise HostError(
            "This command needs the flows, which the wheel does not carry.",
            where=root,
            expected="a checkout of Suture with flows/, tasks/ and deployments/",
            way_out="Clone the repository and run `make setup`, or use the image.",
        )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    # -P: the user's working directory may hold a `tasks` or `flows` of its own
    os.execve(sys.executable, [sys.executable, "-P", "-m", "deployments", *arguments], environment)  # noqa: S606
