"""`suture ...`: reads arguments, calls the library, prints what it returns.

runs.py        whole runs
sweep.py       one recipe with many values
services.py    server and workers
doctor.py      looking after this machine
models.py      checkpoints and recipes at hand
heal.py        healing alone, and a look at what it trains on
bench.py       measuring a model
store.py       what runs have made
remote.py      ... and the remote that machines share it by
publish.py     publishing it, and checking what was published
watch.py       noticing what changed at its sources
toolchain.py   llama.cpp
"""

from __future__ import annotations

import sys

import typer

from suture.cli import bench, doctor, heal, models, publish, runs, services, store, sweep, toolchain, watch
from suture.errors import SutureError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Turn a recipe into a merged, healed, quantized and measured language model.",
)
recipe_app = typer.Typer(no_args_is_help=True, help="Translate recipes of other tools.")
for command in (
    *(runs.plan, runs.schema, runs.run, sweep.sweep, runs.runs, runs.report, runs.compare),
    *(services.up, services.down, services.status, services.logs, services.worker, services.deploy),
    doctor.doctor,
    *(models.merge, models.quantize, models.inspect, models.audit, models.diff, bench.bench, heal.heal),
    *(publish.publish, watch.watch),
):
    app.command()(command)
app.command("show")(runs.show_run)
recipe_app.command("from-mergekit")(models.from_mergekit)
app.add_typer(recipe_app, name="recipe")
app.add_typer(publish.provenance_app, name="provenance")
app.add_typer(store.app, name="store")
app.add_typer(toolchain.app, name="toolchain")


def main() -> None:
    """Run the command line; errors that Suture raises on purpose become one screen of text and an exit status."""
    try:
        app()
    except SutureError as error:
        sys.stderr.write(f"suture: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
