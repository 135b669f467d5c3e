"""Measuring a model: `suture bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from suture.cli.output import AsJson, show

Thinking = Literal["template", "on", "off"]


def bench(
    target: Annotated[
        str, typer.Argument(metavar="GGUF|URL", help="A file, or an OpenAI-compatible endpoint.", show_default=False)
    ] = "",
    *,
    suite: Annotated[
        list[str] | None,
        typer.Option(help="capability, frontend, multi_turn, human_eval or smoke; may be given more than once."),
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Categories or tests of the suite; all if left out.")] = None,
    k: Annotated[
        int, typer.Option("--k", min=1, help="How often each test is asked, each time with another seed.")
    ] = 1,
    temperature: Annotated[float, typer.Option(min=0, max=5, help="0 takes the likeliest token.")] = 0.0,
    top_p: Annotated[float, typer.Option(min=0, max=1, help="Draw among tokens of this probability.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first repeat.")] = 0,
    max_tokens: Annotated[int, typer.Option(min=16, help="Longest answer, thinking included.")] = 1024,
    thinking: Annotated[Thinking, typer.Option(help="Whether the model thinks before it answers.")] = "template",
    thinking_tokens: Annotated[
        int | None, typer.Option(min=0, help="Most tokens of thinking; only llama-server keeps to it.")
    ] = None,
    context: Annotated[int, typer.Option(min=256, help="Tokens of context for each conversation.")] = 8192,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Tests asked at once; above 1, the same seed may give other answers.")
    ] = 1,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Receives the samples; the same folder goes on where a run was killed."),
    ] = None,
    inspect_log: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the run as a log of inspect_ai, for its viewer."),
    ] = None,
    list_tests: Annotated[bool, typer.Option("--list", help="List the tests, and ask nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask a model the tests of a suite, run and open what it writes, and score it.

    An endpoint's key is read from SUTURE_API_KEY.
    """
    from suture.show.bench import catalogue, catalogue_tables, result_tables

    if list_tests:
        show(catalogue(), catalogue_tables(), as_json=as_json)
        return
    if not target:
        raise typer.BadParameter("name a GGUF file or the URL of an endpoint", param_hint="GGUF|URL")
    from suture.bench.capability import BenchmarkSpec
    from suture.bench.suite import select
    from suture.bench.target import ask_target, folder_of
    from suture.progress import Lines

    wanted = select(suite or ["capability"])
    among = {test.id for test in select(only)} if only else {test.id for test in wanted}
    spec = BenchmarkSpec(
        tests=tuple(test.id for test in wanted if test.id in among),
        repeats=k,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        max_tokens=max_tokens,
        thinking=thinking,
        thinking_tokens=thinking_tokens,
        context=context,
    )
    if inspect_log is not None:
        from suture.bench.outside.extra import require

        require("inspect_ai")  # before minutes of asking
    folder = out or folder_of(target, suite or ["capability"])
    facts = ask_target(target, spec, folder, concurrency, Lines("bench"))
    if inspect_log is not None:
        from suture.bench.outside.inspect_log import write_inspect_log

        write_inspect_log(folder, inspect_log, Path(target).name)
    show(facts, result_tables(facts), as_json=as_json)
    if not as_json:
        typer.echo(f"Samples: {folder / 'samples.jsonl'}")
