"""What runs have made: `suture store ...`."""

from __future__ import annotations

from typing import Annotated

import typer

from suture.cli import remote

app = typer.Typer(no_args_is_help=True, help="Look at, check and clean up what runs have made.")

KeyPrefix = Annotated[str, typer.Argument(metavar="KEY", help="A key, or how it begins.", show_default=False)]


@app.command("ls")
def ls() -> None:
    """List the artifacts, oldest first."""
    from rich.console import Console

    from suture.show.store import artifacts_table
    from suture.steps import store_of_this_machine

    Console().print(artifacts_table(store_of_this_machine()))


@app.command("show")
def show(key: KeyPrefix) -> None:
    """Print an artifact's manifest."""
    from suture.steps import store_of_this_machine

    store = store_of_this_machine()
    typer.echo(store.load(store.resolve_prefix(key)).manifest.model_dump_json(indent=2))


@app.command("path")
def path(key: KeyPrefix) -> None:
    """Print where an artifact's files lie."""
    from suture.steps import store_of_this_machine

    store = store_of_this_machine()
    typer.echo(str(store.load(store.resolve_prefix(key)).path))


@app.command("fsck")
def check() -> None:
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


@app.command("gc")
def collect_garbage(
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
    damaged = f", {len(found.damaged)} of them set aside as damaged," if found.damaged else ""
    count = len(found.artifacts) + len(found.damaged)
    typer.echo(f"{count} artifacts ({human_bytes(found.size)}){damaged} and {len(found.runs)} runs {verb}.")


app.command("push")(remote.push)
app.command("pull")(remote.pull)
app.command("gc-remote")(remote.collect_garbage)
