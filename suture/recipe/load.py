"""Reading a recipe, and telling all that is wrong with it at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import JsonValue, ValidationError

from suture.errors import RecipeError
from suture.recipe.mergekit import is_mergekit, to_yaml, translate
from suture.recipe.model import Recipe
from suture.recipe.strict_yaml import MAX_BYTES, parse_documents

_FOUND_CHARACTERS = 200
"""How much of a wrong value an error shows."""
_SHOWN_MISTAKES = 16
"""A screenful with the rest of the message."""


def load_recipe(path: Path) -> Recipe:
    """Read a recipe, or a mergekit file; relative paths in it are taken from the file's folder.

    Raises:
        RecipeError: When the file cannot be read, or is neither; names every wrong field of a recipe at once.
    """
    documents = _read(path)
    if is_mergekit(documents):
        translation = translate(documents, name=path.stem, folder=path.parent, where=path)
        description = " ".join([f"From {path.name}, a mergekit file.", *translation.notes])
        content = {**translation.recipe, "description": description}
        return parse_recipe(content, where=f"{path}, translated from mergekit", folder=path.parent)
    if len(documents) > 1:
        raise RecipeError("The file holds more than one document.", where=path, expected="one recipe")
    return parse_recipe(documents[0] if documents else None, where=path, folder=path.parent)


def from_mergekit(path: Path) -> str:
    """Return the recipe that a mergekit file stands for, as YAML; what has no effect is told in comments above it.

    Raises:
        RecipeError: When the file cannot be read, is not for mergekit, or asks for what a recipe cannot say.
    """
    documents = _read(path)
    if not is_mergekit(documents):
        raise RecipeError("This is not a mergekit file.", where=path, expected="a field merge_method")
    translation = translate(documents, name=path.stem, folder=path.parent, where=path)
    parse_recipe(translation.recipe, where=f"{path}, translated from mergekit", folder=path.parent)
    return to_yaml(translation.recipe, translation.notes)


def _read(path: Path) -> list[object]:
    """Return the documents of a YAML file."""
    try:
        with path.open("rb") as file:
            return parse_documents(file.read(MAX_BYTES + 1))
    except (OSError, ValueError) as error:
        raise RecipeError(
            "The recipe cannot be read.", where=path, expected="a YAML file", found=str(error)
        ) from error


def parse_recipe(content: Any, *, where: str | Path, folder: Path) -> Recipe:  # noqa: ANN401 -- any YAML
    """Check a recipe's content.

    Args:
        content: What the YAML file holds.
        where: What errors call it.
        folder: Where relative paths start.

    Raises:
        RecipeError: When it is not a recipe; names every wrong field at once.
    """
    if not isinstance(content, dict):
        raise RecipeError(
            "The recipe is not a mapping.",
            where=where,
            expected="fields such as name, sources, merge",
            found=_shorten(content),
        )
    try:
        return with_absolute_paths(Recipe.model_validate(content), folder)
    except RecipeError as error:
        error.where = f"{where}: {error.where}"
        raise
    except ValidationError as error:
        mistakes = _mistakes(error)
        further = len(mistakes) - _SHOWN_MISTAKES
        shown = [*mistakes[:_SHOWN_MISTAKES], *([f"and {further} more"] if further > 0 else [])]
        raise RecipeError(
            f"The recipe has {len(mistakes)} mistake(s).",
            where=where,
            found="\n" + "\n".join(f"    {mistake}" for mistake in shown),
        ) from error


def is_path(reference: str) -> bool:
    """Return whether a source's model is a folder on this machine."""
    return reference.startswith(("/", "./", "../", "~"))


def with_absolute_paths(recipe: Recipe, folder: Path) -> Recipe:
    """Return the recipe with its relative paths resolved against `folder`."""

    def resolve(value: JsonValue) -> JsonValue:
        if isinstance(value, dict):
            return {key: _absolute(key, item, folder) or resolve(item) for key, item in value.items()}
        if isinstance(value, list):
            return [resolve(item) for item in value]
        return value

    return Recipe.model_validate(resolve(recipe.model_dump(mode="json")))


def _absolute(key: str, value: JsonValue, folder: Path) -> str | None:
    """Return the absolute path if this field of a recipe holds a path, else None."""
    if not isinstance(value, str):
        return None
    holds_path = (
        (key in ("model", "adapter") and is_path(value))
        or (key == "text" and not value.startswith(("builtin:", "hub:")))
        or key == "gguf"
    )
    if not holds_path:
        return None
    try:
        return str((folder / Path(value).expanduser()).resolve())
    except (OSError, RuntimeError, ValueError) as error:  # no such user, a loop of links, a NUL
        raise RecipeError("A path in the recipe leads nowhere.", where=key, found=f"{value!r}: {error}") from error


def _mistakes(error: ValidationError) -> list[str]:
    """Return a line for each mistake; that a list lacks the items that are wrong is not one more."""
    rows = error.errors()
    wrong_inside = {row["loc"][:depth] for row in rows for depth in range(len(row["loc"]))}
    return [_describe(row) for row in rows if not (row["type"] == "too_short" and row["loc"] in wrong_inside)]


def _describe(row: Any) -> str:  # noqa: ANN401 -- pydantic's ErrorDetails
    field = ".".join(str(part) for part in row["loc"]) or "recipe"
    found = "" if isinstance(row["input"], dict | list) else f" (found {_shorten(row['input'])})"
    return f"{_cut(field)}: {_cut(row['msg'])}{found}"


def _shorten(value: object) -> str:
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _FOUND_CHARACTERS else f"{text[:_FOUND_CHARACTERS]} ..."
