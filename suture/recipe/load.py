"""Reading a recipe, and telling all that is wrong with it at once."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from pydantic import JsonValue, ValidationError

from suture.errors import RecipeError
from suture.recipe.model import Recipe

_FOUND_CHARACTERS = 200
"""How much of a wrong value an error shows."""


def load_recipe(path: Path) -> Recipe:
    """Read a recipe from a YAML file; relative paths in it are taken from the file's folder.

    Raises:
        RecipeError: When the file cannot be read, or is not a recipe; names every wrong field at once.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 -- a SafeLoader
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError: no UTF-8, no such date
        raise RecipeError(
            "The recipe cannot be read.", where=path, expected="a YAML file", found=str(error)
        ) from error
    return parse_recipe(content, where=path, folder=path.parent)


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
    except ValidationError as error:
        mistakes = _mistakes(error)
        raise RecipeError(
            f"The recipe has {len(mistakes)} mistake(s).",
            where=where,
            found="\n" + "\n".join(f"    {mistake}" for mistake in mistakes),
            way_out="`suture schema` prints every field with its meaning.",
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
        (key == "model" and is_path(value)) or (key == "text" and not value.startswith("builtin:")) or key == "gguf"
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
    return f"{field}: {row['msg']}{found}"


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _FOUND_CHARACTERS else f"{text[:_FOUND_CHARACTERS]} ..."


class _Loader(yaml.SafeLoader):
    """Refuses a field that is given twice, where YAML's own loaders silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
        own = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        doubled = sorted({str(key) for key in own if own.count(key) > 1})
        if doubled:
            raise yaml.constructor.ConstructorError(
                None, None, f"{', '.join(doubled)}: given more than once in one mapping", node.start_mark
            )
        return super().construct_mapping(node, deep)
