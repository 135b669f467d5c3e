"""`python -m deployments COMMAND`: what `suture run | up | down | status | logs | worker | deploy` become."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from deployments.hosts import HOST
from deployments.state import LOGS
from suture.errors import SutureError

Arguments = argparse.Namespace


def main() -> int:
    """Run one command; returns its exit status."""
    arguments = _parser().parse_args()
    try:
        return _COMMANDS[arguments.command](arguments) or 0
    except SutureError as error:
        sys.stderr.write("\n".join([f"suture: {error}", *getattr(error, "__notes__", ())]) + "\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted. What was finished is kept: the same command goes on from there.\n")
        return 130


def _run(arguments: Arguments) -> None:
    from deployments.run import run_recipe

    run_recipe(arguments.recipe)


def _sweep(arguments: Arguments) -> int:
    from deployments.sweep import run_sweep

    return run_sweep(arguments.recipe, arguments.set, arguments.at_once)


def _up(arguments: Arguments) -> None:
    from deployments.up import up

    up(arguments.host, arguments.port, gpu_worker=arguments.gpu_worker, runs=arguments.runs)


def _down(_: Arguments) -> None:
    from deployments.control import down

    down()


def _status(_: Arguments) -> int:
    from deployments.control import status

    return status()


def _logs(arguments: Arguments) -> None:
    from deployments.control import logs

    logs(arguments.name, arguments.lines)


def _worker(arguments: Arguments) -> None:
    from deployments.worker import become_worker

    become_worker(arguments.pool, arguments.server)


def _deploy(arguments: Arguments) -> None:
    from deployments.deploy import deploy_to

    deploy_to(arguments.server, arguments.runs)


def _doctor(_: Arguments) -> None:
    import json

    from deployments.doctor import look

    sys.stdout.write(json.dumps({name: finding.model_dump() for name, finding in look().items()}) + "\n")


_COMMANDS: dict[str, Callable[[Arguments], int | None]] = {
    "run": _run,
    "sweep": _sweep,
    "up": _up,
    "down": _down,
    "status": _status,
    "logs": _logs,
    "worker": _worker,
    "doctor": _doctor,
    "deploy": _deploy,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="suture", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run a recipe")
    run.add_argument("recipe", type=Path, metavar="RECIPE", help="a recipe in YAML")
    sweep = commands.add_parser("sweep", help="run a recipe with each combination of values")
    sweep.add_argument("recipe", type=Path, metavar="RECIPE", help="a recipe, or a sweep, in YAML")
    sweep.add_argument("--set", action="append", default=[], metavar="FIELD=VALUES", help="a field and its values")
    sweep.add_argument("--at-once", type=int, help="runs under way at one time")
    up = commands.add_parser("up", help="start the server, the workers and the deployments; Ctrl-C stops all of it")
    up.add_argument("--host", default=HOST, help=f"IP address that the server listens on ({HOST})")
    up.add_argument("--port", type=int, default=4200, help="port of the Prefect UI (4200)")
    up.add_argument("--gpu-worker", action=argparse.BooleanOptionalAction, help="run a worker for trainings")
    up.add_argument("--runs", type=int, help="builds that may go on at once")
    commands.add_parser("down", help="end what `up` has started")
    commands.add_parser("status", help="say what is up")
    logs = commands.add_parser("logs", help="print the end of a log")
    logs.add_argument("name", choices=LOGS, help="whose log")
    logs.add_argument("--lines", type=int, default=40, help="how many lines (40)")
    commands.add_parser("doctor", help="look at the server, its database and its workers; prints JSON")
    worker = commands.add_parser("worker", help="serve a work pool of another machine's server")
    worker.add_argument("--pool", required=True, help="the work pool")
    worker.add_argument("--server", required=True, help="address of the server")
    deploy = commands.add_parser("deploy", help="give a server the work pools, the deployments and the automations")
    deploy.add_argument("--server", required=True, help="address of the server")
    deploy.add_argument("--runs", type=int, help="builds that may go on at once")
    return parser


if __name__ == "__main__":
    sys.exit(main())
