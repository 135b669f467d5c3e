"""Publishing, and checking what was published: `suture publish | provenance verify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from suture.cli.output import AsJson

provenance_app = typer.Typer(no_args_is_help=True, help="Check what was published.")


def publish(
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="A run, or the beginning of an artifact's key.", show_default=False)
    ],
    repo: Annotated[str, typer.Argument(metavar="REPO", help="owner/name on the hub.", show_default=False)],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the card and what would be sent.")] = False,
    public: Annotated[bool, typer.Option("--public", help="Let everybody see it; private if left out.")] = False,
    only: Annotated[
        Literal["checkpoint", "gguf"] | None, typer.Option(help="Of a run, send only these files.")
    ] = None,
    override_licence: Annotated[
        str,
        typer.Option(
            metavar="REASON",
            help="Publish although the licences conflict or are unknown; the reason goes into the card.",
        ),
    ] = "",
    sign: Annotated[
        Path | None,
        typer.Option(metavar="KEY.pem", help="Sign provenance.json with this key; needs the extra `signing`."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Publish a model of the store with its card and provenance: what is there already is not sent again.

    The token is read from HF_TOKEN.
    """
    from rich.console import Console

    from suture.progress import Lines
    from suture.publish import draft, pick, plan_upload
    from suture.publish import publish as send
    from suture.show.publish import publication_data, upload_table, verdict_line
    from suture.steps import store_of_this_machine

    store = store_of_this_machine()
    with store.in_use():
        drafted = draft(pick(store, key, only), repo, override_licence.strip(), sign)
        if dry_run:
            plan, commit, url = plan_upload(drafted), "", ""
        else:
            done = send(drafted, store, Lines("publish"), public=public)
            plan, commit, url = done.plan, done.commit, done.url
    if as_json:
        typer.echo(json.dumps(publication_data(drafted, plan, commit, url), indent=2))
        return
    if dry_run:
        typer.echo(drafted.card)
    Console().print(upload_table(plan))
    typer.echo(verdict_line(drafted))
    if not dry_run:
        typer.echo(f"Published: {url}" if url else f"Nothing changed: {repo} is at {commit}.")


@provenance_app.command("verify")
def verify(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A download of what was published.", show_default=False)
    ],
    *,
    public_key: Annotated[
        Path | None,
        typer.Option(metavar="KEY.pem", help="Also check the signature; needs the extra `signing`."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare a folder with its provenance.json: every file's digest, and the statement's form."""
    from rich.console import Console

    from suture.hub.provenance import verify as check
    from suture.show.publish import problems_table

    statement, problems = check(folder, public_key)
    if as_json:
        rows = [{"file": problem.file, "problem": problem.text} for problem in problems]
        typer.echo(json.dumps({"fits": not problems, "problems": rows}, indent=2))
    elif problems:
        Console().print(problems_table(problems))
    elif statement is not None:
        typer.echo(f"{len(statement.subject)} files are what provenance.json states.")
    if problems:
        raise typer.Exit(1)
