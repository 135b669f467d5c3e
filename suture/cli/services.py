"""Server and workers: `suture up | down | status | logs | worker | deploy`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from suture.cli.flows import become_flows

LogName = Literal["guardian", "server", "postgres", "worker-cpu", "worker-gpu", "deploy"]


def up(
    *,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="IP address to listen on; others than 127.0.0.1 come with a login.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the Prefect UI.")] = 4200,
    gpu_worker: Annotated[
        bool | None,
        typer.Option(
            "--gpu-worker/--no-gpu-worker", help="Run a worker for trainings; if left out, where a GPU is found."
        ),
    ] = None,
    runs: Annotated[
        int | None,
        typer.Option(min=1, help="Builds that go on at once, others wait; what suits this machine if left out."),
    ] = None,
) -> NoReturn:
    """Start the Prefect server, the workers and the deployments; Ctrl-C or `suture down` stops all of it."""
    wanted = {None: (), True: ("--gpu-worker",), False: ("--no-gpu-worker",)}[gpu_worker]
    become_flows("up", "--host", host, "--port", str(port), *wanted, *_limit(runs))


def down() -> NoReturn:
    """End what `suture up` has started; its runs go on from their last finished step when started again."""
    become_flows("down")


def status() -> NoReturn:
    """Say what is up and which runs are in progress; exit status 1 when `suture up` is not."""
    become_flows("status")


def logs(
    name: Annotated[LogName, typer.Argument(metavar="NAME", help=f"{', '.join(LogName.__args__)}.")] = "server",
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, help="How many lines.")] = 40,
) -> NoReturn:
    """Print the end of a log of the server, its database or its workers."""
    become_flows("logs", name, "--lines", str(lines))


def worker(
    server: Annotated[
        str, typer.Option(metavar="URL", help="Address of the Prefect server, such as http://workstation:4200.")
    ],
    pool: Annotated[str, typer.Option(help="Work pool to serve; made if the server has none of that name.")] = "gpu",
    store: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="This machine's store, or, without a remote, the one that the server's machine uses too; "
            "SUTURE_STORE if left out.",
        ),
    ] = None,
    remote: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="What mirrors all machines' stores: s3://bucket/prefix or a folder; SUTURE_REMOTE if left out.",
        ),
    ] = None,
) -> NoReturn:
    """Serve a work pool of another machine's server, such as the trainings on the machine with the GPU."""
    if store is not None:
        os.environ["SUTURE_STORE"] = str(store.absolute())
    if remote is not None:
        os.environ["SUTURE_REMOTE"] = remote if "://" in remote else str(Path(remote).absolute())
    become_flows("worker", "--pool", pool, "--server", server)


def deploy(
    server: Annotated[
        str, typer.Option(metavar="URL", help="Address of the Prefect server, such as http://workstation:4200.")
    ],
    runs: Annotated[
        int | None, typer.Option(min=1, help="Builds that go on at once, others wait; left as it is if left out.")
    ] = None,
) -> NoReturn:
    """Give a server that `suture up` has not started the work pools, the deployments and the automations."""
    become_flows("deploy", "--server", server, *_limit(runs))


def _limit(runs: int | None) -> tuple[str, ...]:
    return () if runs is None else ("--runs", str(runs))
