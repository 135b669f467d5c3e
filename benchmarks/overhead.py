"""What the pipeline costs beside its steps: a whole run of a recipe against its bare steps, in the same call.

    python benchmarks/overhead.py [--recipe recipes/demo-stack.yaml] [--rounds 1] [--pipeline-alone]

A pass through the pipeline is `suture run` in an empty store, from the command to its return: Prefect's server and
database from nothing, tasks, locks, hashing of every byte, manifests, record and report, one step at a time so that
no step hides behind another. A bare pass calls the functions of the same steps one after the other in one process:
the same converter, quantizer, trainings and servers, no Prefect, no store, nothing hashed. By turns, each in an empty
folder. The overhead is the pipeline's wall time less the sum of its own steps' times, which the same noise befell;
the bare pass, which `--pipeline-alone` leaves out, tells whether the steps take the same time without a pipeline
around them. Writes benchmarks/results/overhead.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
RECIPE = Path(__file__).parents[1] / "recipes" / "demo-stack.yaml"
LIMIT = 0.05
"""What the pipeline may cost of what its steps take."""


@dataclass(frozen=True)
class Pass:
    """One pass: wall seconds of the whole, and seconds of the steps of each kind."""

    wall: float
    steps: Mapping[str, float]

    @property
    def work(self) -> float:
        """Seconds of all steps."""
        return sum(self.steps.values())


def by_pipeline(recipe: Path, folder: Path) -> Pass:
    """Run the recipe as a user does."""
    environment = os.environ | {
        "SUTURE_STORE": str(folder / "store"),
        "SUTURE_STATE": str(folder / "state"),
        "SUTURE_PARALLEL_STEPS": "1",
    }
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "suture", "run", recipe], check=True, env=environment)
    wall = time.monotonic() - started
    steps: dict[str, float] = defaultdict(float)
    for path in (folder / "store" / "artifacts").glob("*/manifest.json"):
        manifest = json.loads(path.read_text())
        steps[manifest["step"]] += manifest["seconds"]
    return Pass(wall, dict(steps))


def bare(recipe: Path, folder: Path) -> Pass:
    """Call the steps' functions one after the other, in plain folders."""
    environment = os.environ | {"SUTURE_STORE": str(folder / "none")}
    started = time.monotonic()
    subprocess.run([sys.executable, __file__, "--bare", folder, "--recipe", recipe], check=True, env=environment)
    return Pass(time.monotonic() - started, json.loads((folder / "steps.json").read_text()))


def run_bare(recipe: Path, folder: Path) -> None:
    """Be the bare pass: writes the seconds of each kind of step to `steps.json`."""
    from suture.plan import resolve
    from suture.progress import Lines
    from suture.recipe import load_recipe
    from suture.steps import STEPS
    from suture.store import Artifact, FileEntry, Manifest, Workspace

    made: dict[str, Artifact] = {}
    seconds: dict[str, float] = defaultdict(float)
    for planned in resolve(load_recipe(recipe)).steps:
        work = Workspace(planned.key, folder / planned.key / "out", folder / planned.key / "scratch")
        work.out.mkdir(parents=True)
        work.scratch.mkdir()
        function = STEPS[planned.step].load()
        started = time.monotonic()
        facts = function(planned.spec, [made[parent.key] for parent in planned.parents], work, Lines(planned.label))
        took = time.monotonic() - started
        seconds[planned.step] += took
        files = tuple(
            FileEntry(path=path.relative_to(work.out).as_posix(), size=path.stat().st_size, sha256="")
            for path in sorted(work.out.rglob("*"))
            if path.is_file()
        )
        manifest = Manifest(
            key=planned.key, step=planned.step, version=0, spec=None, parents=(), tool="", files=files,
            facts=dict(facts), host={}, created=datetime.now(UTC), seconds=took,
        )  # fmt: skip
        made[planned.key] = Artifact(work.out, manifest)
        shutil.rmtree(work.scratch)
    (folder / "steps.json").write_text(json.dumps(seconds))


def page(recipe: Path, rounds: Sequence[Mapping[str, Pass]]) -> str:
    """Return the results as Markdown."""
    where = f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores"
    lines = [
        f"# Overhead of the pipeline: {recipe.name}",
        "",
        f"`python benchmarks/overhead.py`, {where}.",
        "",
        "| pass | wall, s | its steps, s | wall less steps, s | overhead |",
        "|---|---|---|---|---|",
    ]
    for number, passes in enumerate(rounds, 1):
        for name, one in passes.items():
            rest = one.wall - one.work
            cells = f"{one.wall:.1f} | {one.work:.1f} | {rest:.1f} | {rest / one.work:.1%}"
            lines.append(f"| {name} {number} | {cells} |")
    names = list(rounds[0])
    lines += ["", f"| step | {' | '.join(f'{name}, s' for name in names)} |", "|---" * (1 + len(names)) + "|"]
    for step in sorted(rounds[0]["pipeline"].steps):
        cells = (" / ".join(f"{passes[name].steps[step]:.1f}" for passes in rounds) for name in names)
        lines.append(f"| {step} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--pipeline-alone", action="store_true", help="leave the bare pass out")
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        run_bare(arguments.recipe, arguments.bare)
        return
    ways = {"pipeline": by_pipeline} if arguments.pipeline_alone else {"pipeline": by_pipeline, "bare": bare}
    rounds: list[dict[str, Pass]] = []
    for _ in range(arguments.rounds):
        rounds.append({})
        for name, way in ways.items():
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                rounds[-1][name] = way(arguments.recipe, Path(folder))
    report(arguments.recipe, rounds)


def report(recipe: Path, rounds: Sequence[Mapping[str, Pass]]) -> None:
    """Print and write what was measured."""
    text = page(recipe, rounds)
    sys.stdout.write(text)
    pipelines = [passes["pipeline"] for passes in rounds]
    share = max((one.wall - one.work) / one.work for one in pipelines)
    sys.stdout.write(f"\nOverhead at most {share:.1%}; {'within' if share <= LIMIT else 'MORE THAN'} {LIMIT:.0%}.\n")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "overhead.md").write_text(text)
    rows = [{name: vars(one) for name, one in passes.items()} for passes in rounds]
    (RESULTS / "overhead.json").write_text(json.dumps({"recipe": recipe.name, "rounds": rows}, indent=1))


if __name__ == "__main__":
    main()
