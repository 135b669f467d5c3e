"""What the commands have in common: shared arguments, and how results are printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pydantic import JsonValue
    from rich.table import Table

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe in YAML.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print data instead of a table.")]


def show(data: dict[str, JsonValue], tables: list[Table], *, as_json: bool) -> None:
    """Print data, or tables with an empty line between them."""
    from rich.console import Console

    if as_json:
        typer.echo(json.dumps(data, indent=2))
        return
    for number, table in enumerate(tables):
        Console().print(*([""] if number else []), table, sep="\n")
