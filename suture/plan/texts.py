"""The texts of a recipe, pinned; a file that serves one purpose alone is used whole, others are split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from suture.corpus import PinnedDataset, PinnedText, pin_data, pin_text
from suture.errors import RecipeError
from suture.hub.datasets import HubDataset, pin_dataset
from suture.recipe import Data, Recipe, Text


def pin_training(recipe: Recipe, data: Sequence[Data]) -> tuple[tuple[PinnedText, ...], tuple[HubDataset, ...]]:
    """Pin what a training reads; a file that nothing is measured on is used whole.

    Returns:
        The texts, and those data sets among them that must be fetched first, in the same order.
    """
    measured = _uses(recipe)["heldout"]
    texts: list[PinnedText] = []
    to_fetch: list[HubDataset] = []
    for one in data:
        if one.text.startswith("hub:"):
            to_fetch.append(pin_dataset(one))
            texts.append(_as_text(one, to_fetch[-1]))
        else:
            texts.append(pin_data(one, alone=one.text not in measured))
    return _named_apart(texts), tuple(to_fetch)


def _as_text(data: Data, pinned: HubDataset) -> PinnedDataset:
    return PinnedDataset(
        name=pinned.name,
        part="all",
        sha256=pinned.spec.digest,
        weight=data.weight,
        files=tuple(pinned.spec.files),
        format=data.format,
    )


def pin_texts(recipe: Recipe, texts: Sequence[Text], part: Literal["train", "heldout"]) -> tuple[PinnedText, ...]:
    """Pin texts; a file that serves training (or calibration) alone, or measuring alone, is used whole, not split."""
    other = _uses(recipe)["heldout" if part == "train" else "train"]
    return _named_apart([pin_text(text, part, alone=text.text not in other) for text in texts])


def _uses(recipe: Recipe) -> dict[str, set[str]]:
    """Return the texts that anything is trained on or calibrated with, and those that anything is measured on."""
    trainings = [*(source.finetune for source in recipe.sources), recipe.heal]
    trained = [text for training in trainings if training for text in training.data]
    calibrated = [recipe.gguf.imatrix.text] if recipe.gguf.imatrix else []
    looks = (recipe.benchmark.divergence, recipe.benchmark.probe)
    beside = [look.text for look in looks if look is not None]
    return {
        "train": {text.text for text in (*trained, *calibrated)},
        "heldout": {text.text for text in (*recipe.benchmark.perplexity.texts, *beside)},
    }


def _named_apart(pinned: Sequence[PinnedText]) -> tuple[PinnedText, ...]:
    names = [text.name for text in pinned]
    if len(set(names)) < len(names):
        raise RecipeError(
            "Two texts have one name, so that their numbers could not be told apart.",
            where="data or benchmark.perplexity.texts",
            expected="different file names",
            found=", ".join(names),
            way_out="Rename one of the files; name a data set once.",
        )
    return tuple(pinned)
