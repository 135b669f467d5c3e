"""Builds one artifact, the real way, in a process of its own: for tests that kill it, trace it, or start many."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from suture import steps
from suture.progress import Progress, Silent
from suture.recipe import Part
from suture.steps import Facts, Outcome, PlannedStep, Step, plan_step
from suture.store import Artifact, Store, Workspace

STEP = "test-build"
steps.STEPS[STEP] = Step(1, "tests.unit.store.builder:make", "shared")


class BuildSpec(Part):
    """How many files of how many bytes; and where to leave a line for each time the step ran."""

    files: int = 3
    size: int = 2000
    tally: Path = Field(exclude=True)


def content(number: int, size: int) -> bytes:
    """What file `number` holds."""
    return bytes((number + position) % 251 for position in range(size))


def make(spec: BuildSpec, parents: Sequence[Artifact], work: Workspace, progress: Progress) -> Facts:
    """Write the files; keep in scratch how often it was begun."""
    begun = work.scratch / "begun"
    with begun.open("a") as file:
        file.write("x")
    with spec.tally.open("a") as file:
        file.write("built\n")
    (work.out / "part").mkdir()
    for number in range(spec.files):
        (work.out / "part" / f"{number}.bin").write_bytes(content(number, spec.size))
        progress.update(number + 1, spec.files, "files")
    return {"parents": len(parents), "begun": begun.stat().st_size}


def planned(spec: BuildSpec) -> PlannedStep:
    """Return the step, with its key."""
    return plan_step("the test's artifact", STEP, spec)


def build(root: Path, spec: BuildSpec) -> Outcome:
    """Return the artifact from the store, or build it."""
    return steps.build(planned(spec), Store(root), Silent())


def build_and_report(root: Path, spec: BuildSpec, report: Path) -> None:
    """Build, and leave digest and origin in a file: the target of a process."""
    outcome = build(root, spec)
    report.write_text(f"{outcome.artifact.manifest.digest} {'cached' if outcome.cached else 'built'}")


if __name__ == "__main__":
    found = build(Path(sys.argv[1]), BuildSpec(tally=Path(sys.argv[2])))
    sys.stdout.write(f"acknowledged {found.artifact.key}\n")
    sys.stdout.flush()
