"""From a grid to its points: a whole recipe each."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from suture.errors import RecipeError
from suture.recipe import Recipe, parse_recipe
from suture.recipe.strict_yaml import parse_documents
from suture.store import canonical_json
from suture.sweep.form import Axis, Sweep

_MOST_POINTS = 200
"""More is a mistake: a point is a whole run."""

_NAME_LENGTH = 64

_OF_THE_MODEL_NOT = ("name", "description", "gguf", "benchmark")
"""Fields of a recipe that change none of the weights that are converted."""


@dataclass(frozen=True)
class Point:
    """One point of a sweep.

    Attributes:
        number: Its place in the grid, from 1.
        values: Its value of each axis, as text.
        recipe: What is run.
    """

    number: int
    values: tuple[str, ...]
    recipe: Recipe


def points_of(sweep: Sweep) -> tuple[Point, ...]:
    """Return the points of a sweep, the last axis running fastest.

    Their recipes are called `NAME-1`, `NAME-2` ... A name is written into the files for llama.cpp, so points whose
    models are the same, and which differ in how these are quantized or measured alone, share theirs: only then are
    the files before quantization made once for all of them.

    Raises:
        RecipeError: When a field is none of the recipe's, or a value is not right for it, naming field and value; or
            when two points are the same.
    """
    combinations = list(itertools.islice(itertools.product(*(axis.values for axis in sweep.grid)), _MOST_POINTS + 1))
    if len(combinations) > _MOST_POINTS:
        raise RecipeError(
            "The sweep has too many points.",
            where="grid",
            expected=f"at most {_MOST_POINTS}",
            way_out="Give fewer values; sweep the fields one after the other.",
        )
    content = sweep.recipe.model_dump(mode="json")
    recipes = [_recipe(content, sweep.grid, values) for values in combinations]
    _require_distinct(sweep.grid, combinations, recipes)
    models: dict[str, int] = {}
    points: list[Point] = []
    for number, (values, recipe) in enumerate(zip(combinations, recipes, strict=True), start=1):
        model = canonical_json(recipe.model_dump(mode="json", exclude=set(_OF_THE_MODEL_NOT)))
        suffix = f"-{models.setdefault(model, len(models) + 1)}"
        name = f"{sweep.recipe.name[: _NAME_LENGTH - len(suffix)]}{suffix}"
        points.append(Point(number, values, recipe.model_copy(update={"name": name})))
    return tuple(points)


def _require_distinct(grid: Sequence[Axis], combinations: Sequence[Sequence[str]], recipes: Sequence[Recipe]) -> None:
    """Refuse what would be run and compared as two points and is one: `0.5` and `0.50`, or a field given twice."""
    seen: dict[str, Sequence[str]] = {}
    for values, recipe in zip(combinations, recipes, strict=True):
        content = recipe.model_dump_json()
        if content in seen:
            raise RecipeError(
                "Two points of the sweep are the same.",
                where="grid",
                found=f"{_chosen(grid, seen[content])}; {_chosen(grid, values)}",
                way_out="Give each field once, and each of its values once.",
            )
        seen[content] = values


def _chosen(grid: Sequence[Axis], values: Sequence[str]) -> str:
    return ", ".join(f"{axis.field}={value}" for axis, value in zip(grid, values, strict=True))


def _recipe(content: dict[str, JsonValue], grid: Sequence[Axis], values: Sequence[str]) -> Recipe:
    changed = copy.deepcopy(content)
    for axis, value in zip(grid, values, strict=True):
        _put(changed, axis.field, _parsed(axis.field, value))
    return parse_recipe(changed, where=f"the point {_chosen(grid, values)}", folder=Path.cwd())


def _parsed(field: str, text: str) -> JsonValue:
    try:
        documents = parse_documents(text.encode())
    except ValueError as error:
        raise RecipeError("A value of the sweep is not YAML.", where=f"{field}: {text}", found=str(error)) from error
    value: JsonValue = documents[0] if documents else None  # pyright: ignore[reportAssignmentType] -- checked later
    return value


def _put(content: JsonValue, field: str, value: JsonValue) -> None:
    """Set one field, which exists."""
    *way, last = field.split(".")
    place = content
    for part in way:
        place = _inside(place, part, field)
    _inside(place, last, field)
    if isinstance(place, dict):
        place[last] = value
    elif isinstance(place, list):
        place[int(last)] = value


def _inside(place: JsonValue, part: str, field: str) -> JsonValue:
    if isinstance(place, dict) and part in place:
        return place[part]
    if isinstance(place, list) and part.isdecimal() and int(part) < len(place):
        return place[int(part)]
    raise RecipeError(
        "The recipe has no such field to sweep.",
        where=field,
        expected=_expected(place),
        found=part,
        way_out="`suture schema` prints every field with its meaning; a part that the recipe leaves out has none.",
    )


def _expected(place: JsonValue) -> str:
    if isinstance(place, dict):
        return f"one of {', '.join(place)}"
    if isinstance(place, list):
        return f"a number below {len(place)}" if place else "nothing: the list is empty"
    return f"nothing below {place!r}"
