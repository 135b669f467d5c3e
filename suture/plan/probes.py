"""The checkpoints that are looked into: the final merge, all that it is made of, and what is made of it."""

from __future__ import annotations

from collections.abc import Iterable

from suture.heal.probing.probe import ProbeSpec
from suture.plan.form import Model, Probed
from suture.plan.texts import pin_texts
from suture.recipe import ARMS, Recipe
from suture.steps import PlannedStep, plan_step


def probes_of(recipe: Recipe, models: Iterable[Model]) -> tuple[Probed, ...]:
    """Return the probes that a recipe asks for; a model that the final merge is not made of has none."""
    asked = recipe.benchmark.probe
    if asked is None:
        return ()
    (text,) = pin_texts(recipe, [asked.text], "heldout")
    spec = ProbeSpec(text=text, chunks=asked.chunks, context=asked.context)
    used = {*recipe.merge.sources, *ARMS}
    return tuple(
        Probed(model.name, model.role, plan_step(f"probe {model.name}", "probe", spec, _read(model)))
        for model in models
        if model.name in used
    )


def _read(model: Model) -> list[PlannedStep]:
    """Return the checkpoint, and what a training adds to it where that is not in its weights."""
    if model.lora is None:
        return [model.step]
    _, adapter = model.lora.parents
    return [model.step, adapter]
