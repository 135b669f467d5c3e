"""One recipe with many values: `suture sweep`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from suture.cli.flows import become_flows


def sweep(
    recipe: Annotated[
        Path,
        typer.Argument(
            metavar="RECIPE", help="A recipe in YAML, or a file with `sweep: {recipe, grid}`.", show_default=False
        ),
    ],
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE,VALUE",
            help="A field and its values in YAML, such as `merge.t=0.3,0.5` or "
            "`merge.slices.0.layers=[0,20],[0,24]`; several give a grid.",
        ),
    ] = None,
    *,
    at_once: Annotated[
        int | None, typer.Option(min=1, help="Runs under way at one time; as many as `suture up` takes if left out.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the points, and what they share; run none.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run: print data instead of a table.")] = False,
) -> None:
    """Run a recipe with each combination of values, and compare what comes of it.

    On the pool of `suture up` where that is up, else one by one. Ctrl-C cancels the runs it started; the same command
    goes on, and runs no point again that is finished.
    """
    if not dry_run:
        options = [option for text in sets or () for option in ("--set", text)]
        become_flows("sweep", str(recipe), *options, *(() if at_once is None else ("--at-once", str(at_once))))
    from rich.console import Console

    from suture.show.sweep import plan_data, plan_lines, points_table
    from suture.steps import store_of_this_machine
    from suture.sweep import plan_sweep, read_sweep

    plan, store = plan_sweep(read_sweep(recipe, sets or ())), store_of_this_machine()
    if as_json:
        typer.echo(json.dumps(plan_data(plan, store), indent=2))
        return
    console = Console()
    console.print(points_table(plan, dict.fromkeys(plan.finished(store), "finished")))
    for line in plan_lines(plan, store):
        console.print(line, markup=False, highlight=False)
