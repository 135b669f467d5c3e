"""`suture heal RECIPE`: the healed merge alone, a look at what it is trained on, or a dry run of the training.

All work in the store, without a server.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import safetensors.numpy
from pydantic import BaseModel, ConfigDict
from tokenizers import Tokenizer

from suture.errors import RecipeError
from suture.heal.data.chat import NO_LOSS
from suture.heal.data.dataset import ROWS
from suture.heal.dry_run import Estimate, dry_run
from suture.heal.train import TrainSpec
from suture.plan import Plan, check_disk, resolve
from suture.progress import Progress
from suture.recipe import Recipe
from suture.steps import PlannedStep, build_all, hold_machine, store_of_this_machine


@dataclass(frozen=True)
class Piece:
    """Consecutive tokens of a row, all of them learned or none."""

    text: str
    tokens: int
    learned: bool


class BlendPart(BaseModel):
    """What the step `dataset` says of one part of the blend."""

    model_config = ConfigDict(frozen=True)

    name: str
    sequences: int
    tokens: int
    learned_tokens: int
    epochs: float
    too_long: int
    silent: int
    looked_at: int
    held_out: int


class Blend(BaseModel):
    """What it says of all of it."""

    model_config = ConfigDict(frozen=True)

    texts: tuple[BlendPart, ...]


@dataclass(frozen=True)
class Preview:
    """What a heal trains on.

    Attributes:
        parts: The parts of the blend.
        rows: The first rows, in the order of training.
    """

    parts: tuple[BlendPart, ...]
    rows: tuple[tuple[Piece, ...], ...]


def heal_alone(recipe: Recipe, progress: Progress) -> Path:
    """Merge and heal; what is in the store already is not made again.

    Returns:
        The folder of the healed checkpoint; or, where the recipe keeps an adapter, that of its GGUF LoRA.

    Raises:
        RecipeError: When the recipe heals nothing.
        SutureError: What any of the steps raises.
    """
    plan = _plan(recipe)
    check_disk(plan, store_of_this_machine())
    label = "convert lora healed" if recipe.heal and recipe.heal.result == "adapter" else "fuse healed"
    return build_all(_step(plan, label), store_of_this_machine(), progress).artifact.path


def dry_run_alone(recipe: Recipe, progress: Progress) -> Estimate:
    """Make the merge and the training data, train two steps on the longest rows, and throw that training away.

    Returns:
        What the training of the healed merge will take, the control not included.

    Raises:
        RecipeError: When the recipe heals nothing.
        SutureError: What any of the steps raises.
    """
    step = _step(_plan(recipe), "heal healed")
    assert isinstance(step.spec, TrainSpec)  # noqa: S101 -- for the type checker
    store = store_of_this_machine()
    with store.in_use():
        model, data = (build_all(parent, store, progress).artifact for parent in step.parents)
        with hold_machine(store, progress, "alone"):
            return dry_run(step.spec, model, data, store.root, progress)


def preview_data(recipe: Recipe, count: int, progress: Progress) -> Preview:
    """Make the training data, and return the first `count` rows as text.

    Raises:
        RecipeError: When the recipe heals nothing.
        DataError: When the data cannot be used.
    """
    step = _step(_plan(recipe), "dataset heal")
    store = store_of_this_machine()
    with store.in_use():
        made = build_all(step, store, progress).artifact
        model = store.find(made.manifest.parents[0])
        assert model is not None  # noqa: S101 -- the data were made with its tokenizer just now
        tokenizer = Tokenizer.from_file(str(model.path / "tokenizer.json"))
        tensors = safetensors.numpy.load_file(made.path / ROWS)  # pyright: ignore[reportUnknownMemberType] -- of a path-like thing
    rows = np.split(np.stack([tensors["input_ids"], tensors["labels"]]), np.cumsum(tensors["lengths"])[:-1], axis=1)
    parts = Blend.model_validate(made.facts).texts
    return Preview(parts, tuple(tuple(_pieces(ids, labels, tokenizer)) for ids, labels in rows[:count]))


def _pieces(ids: np.ndarray, labels: np.ndarray, tokenizer: Tokenizer) -> Iterator[Piece]:
    tokens = zip(ids.tolist(), (labels != NO_LOSS).tolist(), strict=True)
    for learned, run in groupby(tokens, key=lambda token: token[1]):
        piece = [token for token, _ in run]
        yield Piece(tokenizer.decode(piece, skip_special_tokens=False), len(piece), learned)


def _plan(recipe: Recipe) -> Plan:
    if recipe.heal is None:
        raise RecipeError("The recipe heals nothing.", where="heal", expected="settings of a training", found="none")
    return resolve(recipe)


def _step(plan: Plan, label: str) -> PlannedStep:
    return next(step for step in plan.steps if step.label == label)
