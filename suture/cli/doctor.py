"""Looking after this machine: `suture doctor`."""

from __future__ import annotations

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from suture.cli.flows import flows_command
from suture.cli.output import AsJson
from suture.errors import HostError, ProcessError

if TYPE_CHECKING:
    from suture.doctor import Finding

_SERVER = "server"

_SERVER_SECONDS = 13.0
"""Until what looks at the server is given up; its own checks end before."""


def doctor(*, as_json: AsJson = False) -> None:
    """Look whether this machine can do all that Suture wants of it, and say how to mend what it cannot.

    Exit status 1 when something is broken.
    """
    from rich.console import Console

    from suture.doctor import CHECKS, examine
    from suture.show.doctor import findings_data, findings_table, mends

    with ThreadPoolExecutor(1) as beside:
        server = beside.submit(_look_at_server)
        findings = examine(CHECKS) | server.result()
    if as_json:
        typer.echo(json.dumps(findings_data(findings), indent=2))
    else:
        console = Console()
        console.print(findings_table(findings))
        for line in mends(findings):
            style = "dim" if line.startswith("#") else ""
            console.print(line, style=style, soft_wrap=True, markup=False, highlight=False)
    if any(finding.state == "broken" for finding in findings.values()):
        raise typer.Exit(1)


def _look_at_server() -> dict[str, Finding]:
    """Return what `python -m deployments doctor` finds: this library knows nothing of Prefect."""
    from suture.doctor import Finding
    from suture.doctor.form import broken, ok, warning
    from suture.process import run

    try:
        command, environment = flows_command("doctor")
    except HostError:
        return {_SERVER: ok("not looked at: that takes a checkout of Suture, or its image")}
    with tempfile.TemporaryDirectory(prefix="suture-doctor-") as folder:
        log = Path(folder) / "log"
        try:
            done = run(command, log=log, doing="looking at the server", env=environment, timeout=_SERVER_SECONDS)
        except ProcessError as error:
            if error.status is None:
                return {
                    _SERVER: warning(f"no answer within {_SERVER_SECONDS:g} s: the machine is busy", "suture doctor")
                }
            last = error.tail.strip().splitlines()[-1:] or [error.problem]
            return {_SERVER: broken(f"what looks at it fails: {last[0]}", "make setup")}
        (told,) = [line for line in done.output.splitlines() if line.startswith("{")]
    return {name: Finding.model_validate(row) for name, row in json.loads(told).items()}
