"""A plan of toy steps: small enough for a second, real in all else (store, locks, tasks, flow, server)."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from pydantic import Field

from suture import process
from suture.errors import RecipeError, TransientError
from suture.plan import Plan
from suture.progress import Progress
from suture.recipe import Part, Passthrough, Recipe, Slice, Source
from suture.steps import STEPS, Facts, Step, plan_step
from suture.store import Artifact, Workspace

Behaviour = Literal["good", "transient", "bad", "meets the other", "endless"]

KINDS = ("fetch", "merge", "quantize")


class Toy(Part):
    name: str
    behaviour: Behaviour = Field(default="good", exclude=True)
    notes: Path = Field(exclude=True)
    """Folder where each attempt is noted."""


def play(spec: Toy, parents: Sequence[Artifact], work: Workspace, progress: Progress) -> Facts:
    with (spec.notes / spec.name).open("a") as file:
        file.write("attempt\n")
    attempts = len((spec.notes / spec.name).read_text().splitlines())
    if spec.behaviour == "transient" and attempts == 1:
        raise TransientError("the network was away")
    if spec.behaviour == "bad":
        raise RecipeError("a mistake in the recipe", way_out="mend it")
    if spec.behaviour == "meets the other":
        meet(spec)
    if spec.behaviour == "endless":
        process.run([sys.executable, "-c", "import time; time.sleep(600)"], log=work.out / "log", doing="sleeping")
    progress.update(1, 1, "tensors", "loss 2.5")
    content = b"".join((parent.path / "content").read_bytes() for parent in parents) + spec.name.encode()
    (work.out / "content").write_bytes(content)
    return FACTS


COUNTS = (
    "layers",
    "tensors_in",
    "tensors_out",
    "copied",
    "merged",
    "parameters",
    "bytes",
    "nan",
    "inf",
    "size_bytes",
)
FACTS: Facts = {
    **dict.fromkeys(COUNTS, 1),
    "seams": [],
    "dropped": [],
    "model": "toy",
    "nan": 0,
    "inf": 0,
    "commit": "0",
    "type": "Q8_0",
}
"""What the report wants to know of any step."""


def meet(spec: Toy) -> None:
    """Return when another step that meets the other has begun as well."""
    (spec.notes / f"{spec.name}.here").touch()
    deadline = time.monotonic() + 60
    while len(list(spec.notes.glob("*.here"))) < 2:
        if time.monotonic() > deadline:
            raise RecipeError("the other did not come: the steps do not run side by side")
        time.sleep(0.05)


def toy_recipe(name: str = "toy") -> Recipe:
    slices = (Slice(source="a", layers=(0, 1)), Slice(source="b", layers=(0, 1)))
    return Recipe(
        name=name,
        sources=(Source(name="a", model="/a"), Source(name="b", model="/b")),
        merge=Passthrough(method="passthrough", base="a", slices=slices),
    )


def toy_plan(recipe: Recipe, notes: Path, **behaviours: Behaviour) -> Plan:
    """Return a plan of five steps; behaviours by name: `a`, `b`, `merged`, `small_a`, `small_merged`."""
    for kind in KINDS:
        STEPS[kind] = Step(1, "tests.flows.toys:play", "shared")

    def toy(name: str) -> Toy:
        return Toy(name=name, notes=notes, behaviour=behaviours.get(name, "good"))

    a = plan_step("fetch a", "fetch", toy("a"))
    b = plan_step("fetch b", "fetch", toy("b"))
    merged = plan_step("merge", "merge", toy("merged"), [a, b])
    small_a = plan_step("quantize a Q8_0", "quantize", toy("small_a"), [a])
    small_merged = plan_step("quantize merged Q8_0", "quantize", toy("small_merged"), [merged])
    steps = (a, b, merged, small_a, small_merged)
    sources: Any = tuple(
        SimpleNamespace(name=name, model=f"/{name}", commit="0", licence="Apache-2.0", adapter=None) for name in "ab"
    )
    return Plan(recipe=recipe, sources=sources, merges={}, steps=steps, arms=())


def attempts(notes: Path) -> dict[str, int]:
    """Return how often each toy was tried."""
    return {path.name: len(path.read_text().splitlines()) for path in notes.iterdir() if path.suffix != ".here"}
