"""The texts of a recipe, pinned; a file that serves one purpose alone is used whole, others are split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from suture.corpus import PinnedText, pin_data, pin_text
from suture.errors import RecipeError
from suture.recipe import Data, Recipe, Text


def pin_training(recipe: Recipe, data: Sequence[Data]) -> tuple[PinnedText, ...]:
    """Pin what a training reads; a file that nothing is measured on is used whole."""
    measured = _uses(recipe)["heldout"]
    return _named_apart([pin_data(one, alone=one.text not in measured) for one in data])


def pin_texts(recipe: Recipe, texts: Sequence[Text], part: Literal["train", "heldout"]) -> tuple[PinnedText, ...]:
    """Pin texts; a file that serves training (or calibration) alone, or measuring alone, is used whole, not split."""
    other = _uses(recipe)["heldout" if part == "train" else "train"]
    return _named_apart([pin_text(text, part, alone=text.text not in other) for text in texts])


def _uses(recipe: Recipe) -> dict[str, set[str]]:
    """Return the texts that anything is trained on or calibrated with, and those that anything is measured on."""
    trainings = [*(source.finetune for source in recipe.sources), recipe.heal]
    trained = [text for training in trainings if training for text in training.data]
    calibrated = [recipe.gguf.imatrix.text] if recipe.gguf.imatrix else []
    compared = [recipe.benchmark.divergence.text] if recipe.benchmark.divergence else []
    return {
        "train": {text.text for text in (*trained, *calibrated)},
        "heldout": {text.text for text in (*recipe.benchmark.perplexity.texts, *compared)},
    }


def _named_apart(pinned: Sequence[PinnedText]) -> tuple[PinnedText, ...]:
    names = [text.name for text in pinned]
    if len(set(names)) < len(names):
        raise RecipeError(
            "Two texts have one name, so that their numbers could not be told apart.",
            where="data or benchmark.perplexity.texts",
            expected="different file names",
            found=", ".join(names),
            way_out="Rename one of the files.",
        )
    return tuple(pinned)
