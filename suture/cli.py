"""`suture ...`: reads arguments, calls the library, prints what it returns."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from suture.errors import HostError, SutureError

if TYPE_CHECKING:
    from pydantic import JsonValue
    from rich.table import Table

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
store_app = typer.Typer(no_args_is_help=True, help="Look at, check and clean up what runs have made.")
toolchain_app = typer.Typer(no_args_is_help=True, help="Find or build llama.cpp.")
recipe_app = typer.Typer(no_args_is_help=True, help="Translate recipes of other tools.")
app.add_typer(recipe_app, name="recipe")
app.add_typer(store_app, name="store")
app.add_typer(toolchain_app, name="toolchain")

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe in YAML.", show_default=False)]
KeyPrefix = Annotated[str, typer.Argument(metavar="KEY", help="A key, or how it begins.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print data instead of a table.")]


def main() -> None:
    """Run the command line; errors that Suture raises on purpose become one screen of text and an exit status."""
    try:
        app()
    except SutureError as error:
        sys.stderr.write(f"suture: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


@app.command()
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


@app.command()
def schema() -> None:
    """Print the JSON schema of a recipe, for editors."""
    from suture.recipe import Recipe

    typer.echo(json.dumps(Recipe.model_json_schema(), indent=2))


@app.command()
def run(recipe: RecipeFile) -> NoReturn:
    """Run a recipe: fetch, merge, heal, convert, quantize, measure, report."""
    _orchestrate("run", str(recipe))


@app.command()
def merge(
    recipe: RecipeFile,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to be made.", show_default=False)],
    *,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Load the result in transformers, and compare each layer with its source."),
    ] = False,
    shard_size: Annotated[float, typer.Option(min=0.001, help="GB of tensors per file at most.")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Make a recipe's merge alone, in a folder: nothing is converted, healed or measured."""
    from suture.direct import merge_into
    from suture.progress import Lines
    from suture.recipe import load_recipe

    account = merge_into(load_recipe(recipe), out, round(shard_size * 1e9), Lines("merge"), verified=verify)
    if as_json:
        typer.echo(json.dumps(account, indent=2))
        return
    from suture.show.merge import account_tables

    _print(account, account_tables(account), as_json=False)
    typer.echo(f"Merged: {out}")


@app.command()
def up(port: Annotated[int, typer.Option(help="Port of the Prefect UI.")] = 4200) -> NoReturn:
    """Start the Prefect server, a worker and the deployments; Ctrl-C stops all of it."""
    _orchestrate("up", "--port", str(port))


@app.command()
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


@app.command()
def inspect(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A GGUF, or a folder with a checkpoint.", show_default=False)
    ],
    *,
    weights: Annotated[
        bool, typer.Option("--weights", help="Also read a checkpoint's weights, and count NaN and infinities.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a GGUF holds and came from; or a checkpoint's layers, tensors, files, and what is wrong with it."""
    from suture.checkpoint.inspection import inspect_checkpoint
    from suture.gguf.metadata import read
    from suture.progress import Lines
    from suture.show.checkpoint import checkpoint_data, checkpoint_tables
    from suture.show.gguf import gguf_data, gguf_tables

    if path.is_file() or path.suffix == ".gguf":
        summary = read(path)
        data, tables = gguf_data(summary), gguf_tables(summary)
    else:
        found = inspect_checkpoint(path, Lines("inspect"), weights=weights)
        data, tables = checkpoint_data(found), checkpoint_tables(found)
    _print(data, tables, as_json=as_json)


@app.command()
def diff(
    first: Annotated[Path, typer.Argument(metavar="A", help="Folder with a checkpoint.", show_default=False)],
    second: Annotated[
        Path, typer.Argument(metavar="B", help="Another one of the same architecture.", show_default=False)
    ],
    *,
    base: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The model both were made of: compare what each changed of it."),
    ] = None,
    sort: Annotated[Literal["layer", "distance"], typer.Option(help="Order of the layers.")] = "layer",
    top: Annotated[int, typer.Option(min=0, help="How many of the tensors farthest apart to name.")] = 10,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw a heat map, layers by tensors: .svg, .png or .pdf.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how far apart two checkpoints are, layer by layer: relative distance ||A - B|| / ||B|| and cosine."""
    from suture.checkpoint.inspection.compare import compare
    from suture.progress import Lines
    from suture.settings import settings
    from suture.show.difference import difference_data, difference_tables
    from suture.show.heatmap import check_format, write_heatmap

    if plot is not None:
        check_format(plot)  # before minutes of reading
    found = compare(first, second, base, settings().threads, Lines("diff"))
    if plot is not None:
        write_heatmap(found, plot)
    _print(difference_data(found), difference_tables(found, sort=sort, top=top), as_json=as_json)


@recipe_app.command("from-mergekit")
def recipe_from_mergekit(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A mergekit YAML.", show_default=False)],
) -> None:
    """Print a mergekit config as a recipe. `suture run`, `plan` and `merge` take the config as it is."""
    from suture.recipe.load import from_mergekit

    typer.echo(from_mergekit(config), nl=False)


@store_app.command("ls")
def store_ls() -> None:
    """List the artifacts, oldest first."""
    from rich.console import Console

    from suture.show.store import artifacts_table
    from suture.steps import store_of_this_machine

    Console().print(artifacts_table(store_of_this_machine()))


@store_app.command("show")
def store_show(key: KeyPrefix) -> None:
    """Print an artifact's manifest."""
    from suture.steps import store_of_this_machine

    store = store_of_this_machine()
    typer.echo(store.load(store.resolve_prefix(key)).manifest.model_dump_json(indent=2))


@store_app.command("path")
def store_path(key: KeyPrefix) -> None:
    """Print where an artifact's files lie."""
    from suture.steps import store_of_this_machine

    store = store_of_this_machine()
    typer.echo(str(store.load(store.resolve_prefix(key)).path))


@store_app.command("fsck")
def store_fsck() -> None:
    """Hash every file again; what is damaged is set aside, and rebuilt by the next run that needs it."""
    from rich.console import Console

    from suture.progress import Lines
    from suture.show.store import findings_table
    from suture.steps import store_of_this_machine
    from suture.store.fsck import fsck

    store = store_of_this_machine()
    findings = fsck(store, Lines("fsck"))
    if findings:
        Console().print(findings_table(findings))
        raise typer.Exit(1)
    typer.echo(f"{len(store.list_keys())} artifacts checked, nothing wrong.")


@store_app.command("gc")
def store_gc(
    *,
    keep_runs: Annotated[int, typer.Option(min=0, help="How many of the newest runs keep their artifacts.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Remove the artifacts that none of the newest runs uses."""
    from suture.progress import human_bytes
    from suture.steps import store_of_this_machine
    from suture.store.collect import collect

    found = collect(store_of_this_machine(), keep_runs, dry_run=dry_run)
    for key in found.artifacts:
        typer.echo(key)
    verb = "would be removed" if dry_run else "removed"
    typer.echo(f"{len(found.artifacts)} artifacts ({human_bytes(found.size)}) and {len(found.runs)} runs {verb}.")


@toolchain_app.command("show")
def toolchain_show() -> None:
    """Print which llama.cpp is used, from where, and with which build flags."""
    from suture.gguf.toolchain import find
    from suture.settings import settings

    found = find(settings())
    if found is None:
        raise HostError("There is no llama.cpp here yet.", way_out="Build it: `suture toolchain install`.")
    typer.echo(str(found))


@toolchain_app.command("install")
def toolchain_install(
    *,
    cuda: Annotated[bool, typer.Option("--cuda", help="Build for NVIDIA GPUs; needs nvcc 12.8 or newer.")] = False,
) -> None:
    """Build llama.cpp from the pinned sources, unless it is built already."""
    from suture.gguf.toolchain import install
    from suture.progress import Lines

    typer.echo(str(install(cuda=cuda, progress=Lines("llama.cpp"))))


def _print(data: dict[str, JsonValue], tables: list[Table], *, as_json: bool) -> None:
    """Print data, or tables with an empty line between them."""
    from rich.console import Console

    if as_json:
        typer.echo(json.dumps(data, indent=2))
        return
    for number, table in enumerate(tables):
        Console().print(*([""] if number else []), table, sep="\n")


def _orchestrate(*arguments: str) -> NoReturn:
    """Become `python -m deployments ...`, from the checkout or image that this package lies in."""
    root = Path(__file__).resolve().parents[1]
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
