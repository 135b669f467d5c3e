"""A recipe whose sources are pinned to commits, so that it means the same tomorrow."""

from __future__ import annotations

from collections.abc import Mapping

from suture.recipe.load import is_path
from suture.recipe.model import Recipe, Source
from suture.recipe.texts import Data
from suture.recipe.training import Training


def hub_model(source: Source) -> bool:
    """Return whether a source's model is a repository on the hub."""
    return not is_path(source.model) and not source.model.startswith("builtin:")


def hub_adapter(source: Source) -> tuple[str, str] | None:
    """Return repository and revision of a source's adapter; None where it has none on the hub."""
    if source.adapter is None or is_path(source.adapter):
        return None
    repo, _, revision = source.adapter.partition("@")
    return repo, revision or "main"


def hub_dataset(data: Data) -> tuple[str, str]:
    """Return repository and revision of a data set on the hub."""
    repo, _, revision = data.text.removeprefix("hub:").partition("@")
    return repo, revision or "main"


def datasets_of(recipe: Recipe) -> tuple[Data, ...]:
    """Return the data sets on the hub that any training of a recipe reads."""
    trainings = [*(source.finetune for source in recipe.sources), recipe.heal]
    data = [each for training in trainings if training is not None for each in training.data]
    return tuple(each for each in data if each.text.startswith("hub:"))


def with_dataset_commits(recipe: Recipe, commits: Mapping[str, str]) -> Recipe:
    """Return the recipe with the commits of its data sets.

    Args:
        recipe: The recipe.
        commits: Text that names a data set -> its commit. What is not named stays as it is.
    """

    def pinned(training: Training) -> Training:
        data = tuple(
            each.model_copy(update={"text": f"hub:{hub_dataset(each)[0]}@{commits[each.text]}"})
            if each.text in commits
            else each
            for each in training.data
        )
        return training.model_copy(update={"data": data})

    sources = tuple(
        source.model_copy(update={"finetune": pinned(source.finetune)}) if source.finetune else source
        for source in recipe.sources
    )
    return recipe.model_copy(update={"sources": sources, "heal": pinned(recipe.heal) if recipe.heal else None})


def with_commits(recipe: Recipe, commits: Mapping[str, str]) -> Recipe:
    """Return the recipe with commits in the place of branches and tags.

    Args:
        recipe: The recipe.
        commits: Source's name -> commit of its model; `NAME-adapter` -> commit of its adapter. What is not named
            stays as it is.
    """
    sources = tuple(_pinned(source, commits) for source in recipe.sources)
    return recipe.model_copy(update={"sources": sources})


def _pinned(source: Source, commits: Mapping[str, str]) -> Source:
    changes: dict[str, str] = {}
    if hub_model(source) and source.name in commits:
        changes["revision"] = commits[source.name]
    adapter = hub_adapter(source)
    if adapter is not None and f"{source.name}-adapter" in commits:
        changes["adapter"] = f"{adapter[0]}@{commits[f'{source.name}-adapter']}"
    return source.model_copy(update=changes)
