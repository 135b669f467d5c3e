"""Reading a sweep: a recipe and `--set FIELD=VALUES`, or a file of its own.

sweep:
  recipe: demo-stack.yaml        # from the file's folder; or a whole recipe
  grid:
    merge.slices.0.layers: [[0, 20], [0, 24]]
    gguf.quantize: [[Q4_K_M], [Q5_K_M]]
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from suture.errors import RecipeError
from suture.recipe import Recipe, load_recipe, parse_recipe
from suture.recipe.strict_yaml import MAX_BYTES, parse_documents
from suture.sweep.form import Axis, Sweep

_WAY_OUT = "Write, for instance, `--set merge.t=0.3,0.5` or `--set gguf.quantize=[Q4_K_M],[Q5_K_M]`."


def read_sweep(path: Path, sets: Sequence[str]) -> Sweep:
    """Read a sweep.

    Args:
        path: A recipe, or a file that holds a sweep.
        sets: `FIELD=VALUE,VALUE ...`, each an axis more.

    Raises:
        RecipeError: When the file cannot be read, or no values are given, or they are not YAML.
    """
    asked = _sweep_in(path)
    recipe = load_recipe(path) if asked is None else _recipe(asked, path)
    grid = _mapping({} if asked is None else asked.get("grid", {}), path, "sweep.grid")
    axes = [*(_axis(field, values, path) for field, values in grid.items()), *map(parse_set, sets)]
    doubled = sorted({axis.field for axis in axes if [other.field for other in axes].count(axis.field) > 1})
    if not axes or doubled:
        raise RecipeError(
            "A field is given values twice." if doubled else "The sweep varies nothing.",
            where=path,
            expected="each field once" if doubled else "fields with their values",
            found=", ".join(doubled) or None,
            way_out=_WAY_OUT,
        )
    return Sweep(recipe=recipe, grid=tuple(axes))


def parse_set(text: str) -> Axis:
    """Return the axis of `FIELD=VALUE,VALUE ...`.

    Raises:
        RecipeError: When it is not of that form.
    """
    field, equals, values = text.partition("=")
    try:
        (parsed,) = parse_documents(f"[{values}]".encode())
    except ValueError as error:
        raise RecipeError(
            "The values are not YAML.", where=f"--set {text}", found=str(error), way_out=_WAY_OUT
        ) from error
    if not field or not equals or not parsed:
        raise RecipeError(
            "This is not a field with its values.",
            where=f"--set {text}",
            expected="FIELD=VALUE,VALUE",
            way_out=_WAY_OUT,
        )
    return _axis(field.strip(), parsed, f"--set {text}")


def _axis(field: str, values: object, where: str | Path) -> Axis:
    if not isinstance(values, list) or not values:
        raise RecipeError(
            "A field of the sweep has no list of values.", where=f"{where}: {field}", expected="[VALUE, VALUE]"
        )
    return Axis(field=field, values=tuple(_yaml(value) for value in cast("list[Any]", values)))


def _yaml(value: object) -> str:
    """Return a value in YAML on one line, as it would stand in a list."""
    written = yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=math.inf)
    return written.strip()[1:-1]


def _sweep_in(path: Path) -> Mapping[str, Any] | None:
    """Return what a file's field `sweep` holds; None where it is no sweep but a recipe, right or wrong."""
    try:
        with path.open("rb") as file:
            documents = parse_documents(file.read(MAX_BYTES + 1))
    except (OSError, ValueError):
        return None  # whoever reads it as a recipe says what is wrong
    first = documents[0] if len(documents) == 1 else None
    if not isinstance(first, dict) or "sweep" not in first:
        return None
    asked = _mapping(cast("dict[str, Any]", first)["sweep"], path, "sweep")
    surplus = sorted(set(asked) - {"recipe", "grid"})
    if len(cast("dict[str, Any]", first)) > 1 or surplus or "recipe" not in asked:
        raise RecipeError(
            "The file's sweep is not one.",
            where=path,
            expected="sweep: {recipe: ..., grid: {...}}, and nothing else",
            found=", ".join(surplus) or None,
        )
    return asked


def _recipe(asked: Mapping[str, Any], path: Path) -> Recipe:
    recipe = asked["recipe"]
    if isinstance(recipe, str):
        return load_recipe(path.parent / recipe)
    return parse_recipe(recipe, where=f"{path}: sweep.recipe", folder=path.parent)


def _mapping(value: object, path: Path, field: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise RecipeError("A field of the sweep is not a mapping.", where=f"{path}: {field}", found=repr(value)[:200])
    return cast("dict[str, Any]", value)
