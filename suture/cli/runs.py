"""Whole runs: `suture plan | schema | run | runs | show | report | compare`."""

from __future__ import annotations

import json
from typing import Annotated, NoReturn

import typer

from suture.cli.flows import become_flows
from suture.cli.output import AsJson, RecipeFile, show

_WHICH = "A run's name, how it begins, its last digits, or `last`."


def plan(recipe: RecipeFile, *, as_json: AsJson = False) -> None:
    """Show what a recipe would do: pinned sources, steps, sizes, disk. Changes nothing."""
    from rich.console import Console

    from suture.plan import judge_plan, resolve
    from suture.recipe import load_recipe
    from suture.show.plan import disk_line, licences_table, plan_data, sources_table, steps_table
    from suture.steps import store_of_this_machine

    resolved, store = resolve(load_recipe(recipe)), store_of_this_machine()
    if as_json:
        typer.echo(json.dumps(plan_data(resolved, store), indent=2))
        return
    console = Console()
    console.print(sources_table(resolved))
    console.print(licences_table(judge_plan(resolved)))
    console.print(steps_table(resolved, store))
    console.print(disk_line(resolved, store), markup=False, highlight=False)


def schema() -> None:
    """Print the JSON schema of a recipe, for editors."""
    from suture.recipe import Recipe

    typer.echo(json.dumps(Recipe.model_json_schema(), indent=2))


def run(recipe: RecipeFile) -> NoReturn:
    """Run a recipe: fetch, merge, heal, convert, quantize, measure, report."""
    become_flows("run", str(recipe))


def runs(
    *,
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many of the newest.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the runs, newest first."""
    from suture.show.runs import runs_data, runs_table
    from suture.steps import store_of_this_machine
    from suture.store.runs import list_runs

    store = store_of_this_machine()
    found = list_runs(store)
    newest = found[:number]
    if not found and not as_json:
        typer.echo("No run yet. Make one: suture run recipes/demo-stack.yaml")
        return
    show(runs_data(store, newest), [runs_table(store, newest, len(found))], as_json=as_json)


def show_run(
    run: Annotated[str, typer.Argument(metavar="RUN", help=_WHICH, show_default=False)],
    *,
    as_json: AsJson = False,
) -> None:
    """Show a run: its sources, its steps, how it ended, and where to read on."""
    from rich.console import Console

    from suture.show.runs import run_data, run_head, run_tables
    from suture.steps import store_of_this_machine
    from suture.store.runs import find_run

    store = store_of_this_machine()
    record = find_run(store, run)
    if as_json:
        typer.echo(json.dumps(run_data(store, record), indent=2))
        return
    console = Console()
    console.print(run_head(store, record))
    if record.error:
        failed = f"{record.failed[0]}: " if record.failed else ""
        console.print(f"\n{failed}{record.error}", style="red", markup=False, highlight=False)
    for table in run_tables(store, record):
        console.print("", table, sep="\n")


def report(
    run: Annotated[
        str, typer.Argument(metavar="[RUN]", help=f"{_WHICH} If left out, the newest that completed.")
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
    console.print(f"Report: {files.html}", markup=False, highlight=False, soft_wrap=True)


def compare(
    first: Annotated[
        str, typer.Argument(metavar="A", help=f"{_WHICH} Or a folder of `suture bench`.", show_default=False)
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
