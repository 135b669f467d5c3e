"""From a recipe to its plan."""

from __future__ import annotations

from collections.abc import Iterable

from suture.hub.datasets import look_up_dataset
from suture.hub.pins import pin
from suture.merge.account import MergePlan
from suture.plan.arms import arms_of, reference_arms
from suture.plan.form import Plan, named
from suture.plan.models import healed_models, merged_model, source_model
from suture.plan.probes import probes_of
from suture.recipe import Recipe, datasets_of, hub_dataset, with_dataset_commits
from suture.steps import PlannedStep


def resolve(recipe: Recipe) -> Plan:
    """Pin a recipe's sources, texts and tools, check that they fit, and lay out its steps.

    Asks the hub for commits and tensor lists where a source is a repository; fetches no weights, writes nothing.

    Raises:
        InputError: When a source, a text or the recipe cannot be used; see `suture.errors`.
        TransientError: When the hub cannot be reached.
    """
    asked, datasets = recipe, {data.text: look_up_dataset(*hub_dataset(data)) for data in datasets_of(recipe)}
    recipe = with_dataset_commits(recipe, {text: listing.commit for text, listing in datasets.items()})
    pinned = [pin(source) for source in recipe.sources]
    sources = [source_model(recipe, source, pin_) for source, pin_ in zip(recipe.sources, pinned, strict=True)]
    known = list(sources)
    accounts: dict[str, MergePlan] = {}
    for stage in recipe.stages:
        accounts[stage.name], made = merged_model(recipe, stage.merge, stage.name, known)
        known.append(made)
    accounts["merged"], merged = merged_model(recipe, recipe.merge, "merged", known)
    unmeasured = {stage.name for stage in recipe.stages if not stage.benchmark}
    models = [model for model in (*known, merged) if model.name not in unmeasured]
    if recipe.heal is not None:
        models += healed_models(
            recipe, recipe.heal, merged, named(known, recipe.merge.base), accounts["merged"].seams
        )
    arms = [arm for model in models for arm in arms_of(recipe, model)] + list(reference_arms(recipe))
    probes = probes_of(recipe, models)
    leaves = [*(leaf for arm in arms for leaf in arm.leaves), *(probed.probe for probed in probes)]
    return Plan(
        recipe=asked,
        sources=tuple(pinned),
        merges=accounts,
        steps=tuple(_in_order(leaves)),
        arms=tuple(arms),
        probes=probes,
        datasets=tuple(datasets.values()),
    )


def _in_order(leaves: Iterable[PlannedStep]) -> list[PlannedStep]:
    """Return every step that the leaves need, once, parents before children."""
    found: dict[str, PlannedStep] = {}

    def visit(step: PlannedStep) -> None:
        if step.key not in found:
            for parent in step.parents:
                visit(parent)
            found[step.key] = step

    for leaf in leaves:
        visit(leaf)
    return list(found.values())
