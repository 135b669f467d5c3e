"""`suture run`: one recipe, in this process, against the server."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from deployments.display import BarDisplay, LineDisplay
from deployments.environment import prefect_environment
from deployments.logs import shorten_logs
from deployments.server import Server, managed_server, outside_server
from deployments.state import state_of_this_machine
from suture.plan import check_disk, resolve
from suture.recipe import Recipe, load_recipe
from suture.steps import store_of_this_machine

if TYPE_CHECKING:
    from tasks.progress import Viewer

_FLOW = "flows.pipeline"


def run_recipe(path: Path) -> None:
    """Run a recipe and print its scoreboard.

    Raises:
        SutureError: When the recipe cannot be run (nothing has been started or written then), or when a step fails.
    """
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # not at once: Prefect's own comes first
    recipe = load_recipe(path)
    check_disk(resolve(recipe), store_of_this_machine())
    join_server()
    run = run_flow(recipe)
    _print_report(run)


def join_server() -> Server:
    """Make this process a client of a server: the user's own if it answers, else the managed one."""
    os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"  # the display says it; the server has the logs
    server = outside_server()
    if server is not None:
        os.environ.update(server.environment)  # its login and its profile are the user's own, and stay
    else:
        _set_environment(prefect_environment(state_of_this_machine(), ""))
        # Given back by atexit, registered before Prefect is imported and so called after Prefect has sent its logs.
        lease = contextlib.ExitStack()
        atexit.register(lease.close)
        server = lease.enter_context(managed_server(meanwhile=lambda: importlib.import_module(_FLOW)))
        if server.notice:
            sys.stderr.write(f"{server.notice}\n")
        _set_environment(server.environment)
    shorten_logs()
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()
    return server


def run_flow(recipe: Recipe) -> str:
    """Run a recipe in this process, which has joined a server; returns the run's name.

    Raises:
        SutureError: When a step fails.
    """
    from flows.pipeline import build_model
    from tasks.progress import viewer

    with _display() as display:
        viewer.set(display)
        return build_model(recipe)["run"]


@contextlib.contextmanager
def _display() -> Generator[Viewer]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield LineDisplay()
        return
    with BarDisplay(console) as display:
        yield display


def _print_report(run: str) -> None:
    from suture.report.build import load_report
    from suture.report.scoreboard import scoreboard

    report = load_report(store_of_this_machine(), run)
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(scoreboard(report.data))
    sys.stdout.write(f"Report: {report.html}\n")


def _set_environment(environment: Mapping[str, str]) -> None:
    for name in set(os.environ) - set(environment):
        if name.startswith(("PREFECT_", "PG")):
            del os.environ[name]
    os.environ.update(environment)
