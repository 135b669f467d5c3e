"""Checkpoints and recipes at hand: `suture merge | quantize | inspect | audit | diff | recipe from-mergekit`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from suture.cli.output import AsJson, RecipeFile, show
from suture.recipe import Imatrix, QuantType, Text


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

    show(account, account_tables(account), as_json=False)
    typer.echo(f"Merged: {out}")


def quantize(
    model: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT|GGUF", help="A folder, or a 16-bit GGUF.", show_default=False)
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="GGUF to be made.", show_default=False)],
    *,
    type_: Annotated[QuantType, typer.Option("--type", help="Quantization type.")] = "Q4_K_M",
    imatrix: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Weight the rounding by an importance matrix of this text: builtin:prose, builtin:code, a .txt or a "
            ".jsonl file. IQ3_XS and all types below it but Q2_K need one.",
        ),
    ] = None,
    imatrix_chunks: Annotated[int, typer.Option(min=2, help="Chunks of the text, of 512 tokens each.")] = 32,
    as_json: AsJson = False,
) -> None:
    """Make a smaller GGUF of a checkpoint, which is converted first, or of a 16-bit GGUF."""
    from suture.direct_gguf import quantize_into
    from suture.progress import Lines
    from suture.show.gguf import quantized_data, quantized_tables

    weights = Imatrix(text=Text(text=imatrix), chunks=imatrix_chunks) if imatrix else None
    done = quantize_into(model, out, type_, weights, Lines("quantize"))
    show(quantized_data(done), quantized_tables(done), as_json=as_json)
    if not as_json:
        typer.echo(f"Quantized: {out}")


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
    show(data, tables, as_json=as_json)


def audit(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder with a checkpoint or an adapter.", show_default=False)
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Say whether a model from elsewhere can be taken: what is refused, what may do harm; status 1 if it is refused.

    Nothing in it is run, but its tokenizer and templates, in processes of little memory and little time.
    """
    from suture.hub.audit import audit as look
    from suture.progress import Lines
    from suture.show.audit import audit_data, audit_tables

    found = look(folder, Lines("audit"))
    show(audit_data(found), audit_tables(found), as_json=as_json)
    if found.is_refused:
        raise typer.Exit(1)


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
    show(difference_data(found), difference_tables(found, sort=sort, top=top), as_json=as_json)


def from_mergekit(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A mergekit YAML.", show_default=False)],
) -> None:
    """Print a mergekit config as a recipe. `suture run`, `plan` and `merge` take the config as it is."""
    from suture.recipe.load import from_mergekit as translated

    typer.echo(translated(config), nl=False)
