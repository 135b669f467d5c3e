"""`python -m deployments run RECIPE` and `up`: what `suture run` and `suture up` become."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from suture.errors import SutureError


def main() -> int:
    """Run one command; returns its exit status."""
    arguments = _parser().parse_args()
    try:
        if arguments.command == "run":
            from deployments.run import run_recipe

            run_recipe(arguments.recipe)
        else:
            from deployments.up import up

            up(arguments.port)
    except SutureError as error:
        sys.stderr.write("\n".join([f"suture: {error}", *getattr(error, "__notes__", ())]) + "\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted. What was finished is kept: the same command goes on from there.\n")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="suture", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run a recipe")
    run.add_argument("recipe", type=Path, metavar="RECIPE", help="a recipe in YAML")
    up = commands.add_parser("up", help="start the server, a worker and the deployments; Ctrl-C stops all of it")
    up.add_argument("--port", type=int, default=4200, help="port of the Prefect UI (4200)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
