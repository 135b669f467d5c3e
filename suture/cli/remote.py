"""The store's remote: `suture store push | pull | gc-remote`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from suture.store import Store
    from suture.store.remote import Remote

KeyPrefixes = Annotated[list[str], typer.Argument(metavar="KEY...", help="Keys, or how they begin.")]


def push(
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY...]", help="Keys, or how they begin.", show_default=False)
    ] = None,
    *,
    run: Annotated[str | None, typer.Option(metavar="RUN", help="All that this run has made.")] = None,
) -> None:
    """Bring artifacts into the remote that SUTURE_REMOTE names; what is there is not sent again."""
    from suture.progress import Lines
    from suture.store.runs import find_run

    if not keys and run is None:
        raise typer.BadParameter("name keys, or a run with --run", param_hint="KEY")
    store, remote = _both()
    wanted = [store.resolve_prefix(key) for key in keys or ()]
    if run is not None:
        wanted += [key for key in find_run(store, run).keys if store.has(key)]
    with store.in_use():
        for key in wanted:
            remote.push(store.verify_or_set_aside(key), store, Lines(f"push {key[:16]}"))
    typer.echo(f"{len(wanted)} artifacts are in {remote.address}.")


def pull(keys: KeyPrefixes) -> None:
    """Bring artifacts from the remote into the store."""
    from suture.errors import CorruptArtifactError
    from suture.progress import Lines
    from suture.steps import find

    store, remote = _both()
    with store.in_use():
        for prefix in keys:
            key = remote.resolve_prefix(prefix)
            artifact = find(key, store, Lines(f"pull {key[:16]}"))
            if artifact is None:
                raise CorruptArtifactError(
                    "The artifact in the remote was damaged, and is set aside.", where=remote.address, found=key
                )
            typer.echo(str(artifact.path))


def collect_garbage(
    *,
    older_than: Annotated[float, typer.Option(metavar="DAYS", min=0, help="Days since it was pushed.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Remove from the remote what was pushed long ago; the next run that needs it builds and pushes it again."""
    from suture.progress import human_bytes
    from suture.store.remote.collect import remove_old

    _, remote = _both()
    found = remove_old(remote, older_than, dry_run=dry_run)
    for key in found.artifacts:
        typer.echo(key)
    for key in found.in_work:
        typer.echo(f"{key} stays: a machine is building it")
    verb = "would be removed" if dry_run else "removed"
    damaged = f", {len(found.damaged)} of them set aside as damaged," if found.damaged else ""
    uploads = f", and {found.uploads} unfinished uploads," if found.uploads else ""
    count = len(found.artifacts) + len(found.damaged)
    typer.echo(f"{count} artifacts ({human_bytes(found.size)}){damaged}{uploads} {verb} from {remote.address}.")


def _both() -> tuple[Store, Remote]:
    from suture.errors import HostError
    from suture.steps import store_of_this_machine

    store = store_of_this_machine()
    if store.remote is None:
        raise HostError(
            "This machine's store has no remote.",
            where=store.root,
            way_out="Set SUTURE_REMOTE to s3://bucket/prefix or a folder that machines share (not SUTURE_OFFLINE).",
        )
    return store, store.remote
