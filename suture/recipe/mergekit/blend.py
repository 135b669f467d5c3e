"""mergekit's merge methods beside passthrough."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from suture.recipe.merge import TASK_VECTOR_METHODS
from suture.recipe.mergekit import settings
from suture.recipe.mergekit.inputs import Document, Input, OutputSlice, common, note_idle
from suture.recipe.mergekit.methods import METHODS, Method

_BASE_AMONG_MODELS = ("linear", "slerp", "karcher")
"""Methods for which mergekit takes a base as one more model, where it is not listed."""

_RANDOM = ("dare_linear", "dare_ties", "della", "della_linear")


def blend(document: Document, name: str) -> dict[str, Any]:
    """Return a blend of models in a recipe's terms.

    Args:
        document: A mergekit merge.
        name: Its method.

    Raises:
        RecipeError: When the base or a setting that the method needs is missing, or a recipe has no place for one.
    """
    method = METHODS[name]
    if (name == "slerp" or name in TASK_VECTOR_METHODS) and not document.has_base:
        raise document.refusal(f"{name} needs a base.", expected="base_model: a model")
    document = replace(document, slices=tuple(_with_base(document, part, name) for part in document.slices))
    note_idle(document, method.of_models, method.reads)
    if name in _RANDOM:
        document.sources.note("Which numbers are dropped is drawn by another generator than mergekit's.")
    merge: dict[str, Any] = {"method": name, "base": document.base, **common(document)}
    merge |= {**method.defaults, **_of_merge(document, method), "dialect": "mergekit"}
    if document.is_whole:
        (whole,) = document.slices
        return {**merge, "models": _models(document, whole, name)}
    own_t = "t" in method.of_merge and "t" not in merge
    slices: list[dict[str, Any]] = []
    for part in document.slices:
        t = {"t": settings.setting(document.levels(part), "t")} if own_t else {}
        slices.append({"models": _models(document, part, name), **t})
    return {**merge, "slices": slices}


def _with_base(document: Document, part: OutputSlice, name: str) -> OutputSlice:
    """Add a base that is not listed to the models, where mergekit does."""
    is_listed = any(model.source == document.base for model in part.inputs)
    if is_listed or not document.is_whole or name not in _BASE_AMONG_MODELS:
        return part
    base = Input(document.base, None, {}, document.fields["base_model"])
    return replace(part, inputs=(base, *part.inputs))


def _models(document: Document, part: OutputSlice, name: str) -> list[dict[str, Any]]:
    """Return the models of a slice with their own settings."""
    found: list[dict[str, Any]] = []
    for model in part.inputs:
        entry: dict[str, Any] = {"source": model.source}
        if model.layers is not None:
            entry["layers"] = model.layers
        if model.source != document.base or not _has_task_vectors(document, name):
            found.append({**entry, **_of_model(document, part, model, METHODS[name])})
        elif name in TASK_VECTOR_METHODS and not document.is_whole:  # it says which of its layers are the base
            found.append(entry)
    return found


def _has_task_vectors(document: Document, name: str) -> bool:
    return name in TASK_VECTOR_METHODS or (name in ("nuslerp", "multislerp") and document.has_base)


def _of_model(document: Document, part: OutputSlice, model: Input, method: Method) -> dict[str, Any]:
    """Return the settings of one model."""
    levels = document.levels(part, model)
    values = {name: settings.setting(levels, name) for name in method.of_models}
    for name, value in values.items():
        if name in method.required and value is None:
            raise model.node.refusal(f"`{name}` is missing.", expected=f"parameters: {{{name}: a number}}")
        _note_rest(document, name, value, method)
    return {name: value for name, value in values.items() if value is not None}


def _of_merge(document: Document, method: Method) -> dict[str, Any]:
    """Return the settings of the whole merge; `t` is left out where slices have their own."""
    _check_fixed(document, method)
    found: dict[str, Any] = {}
    for theirs, ours in {**method.of_merge, **method.flags}.items():
        values = [_of_slice(document, part, theirs, method) for part in document.slices]
        if any(value != values[0] for value in values):
            if theirs != "t":
                part = next(part for part in document.slices if theirs in part.parameters)
                raise part.parameters[theirs].refusal(
                    f"`{theirs}` is one for the whole merge.", way_out="Move it to the file's parameters."
                )
        elif values[0] is not None:
            found[ours] = values[0]
    if "row_wise" in method.flags.values():
        _turn_rows(found)
    return found


def _turn_rows(found: dict[str, Any]) -> None:
    """Say what mergekit does: its `nuslerp_row_wise` takes the columns of a stored matrix as vectors, else rows."""
    by_columns = found.pop("row_wise", False)
    if found.get("flatten") is False and not by_columns:
        found["row_wise"] = True


def _of_slice(document: Document, part: OutputSlice, name: str, method: Method) -> settings.Setting | None:
    """Return a setting of the whole merge, as it is for one slice."""
    read = settings.flag if name in method.flags else settings.setting
    value = read(document.levels(part), name)
    if value is None and name in method.required:
        raise part.node.refusal(f"`{name}` is missing.", expected=f"parameters: {{{name}: a number}}")
    _note_rest(document, name, value, method)
    return value


def _check_fixed(document: Document, method: Method) -> None:
    for name, value in method.fixed.items():
        for part in document.slices:
            node = settings.find(document.levels(part), name)
            if node is not None and node.flag() != value:
                raise node.refusal(f"`{name}` cannot be chosen.", expected=str(value).lower())


def _note_rest(document: Document, name: str, value: settings.Setting | None, method: Method) -> None:
    if value is not None and name in method.required and not settings.has_rest(value):
        document.sources.note(
            f"{name}: tensors that no filter fits get Suture's default; mergekit stops at the first of them."
        )
