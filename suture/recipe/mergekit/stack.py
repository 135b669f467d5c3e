"""mergekit's passthrough: layers stacked as they are, or a whole model."""

from __future__ import annotations

from typing import Any

from suture.recipe.mergekit import settings
from suture.recipe.mergekit.inputs import Document, Input, OutputSlice, common, note_idle

_OUTSIDE = {0: ("model.embed_tokens.weight",), -1: ("model.norm.weight", "lm_head.weight")}
"""Tensors in no layer, by the slice whose parameters mergekit has for them: the first, the last."""


def stack(document: Document) -> dict[str, Any]:
    """Return a stack of slices in a recipe's terms; a whole model becomes the mean of it alone.

    mergekit takes the embedding from the model of the first slice, the final norm and the head from that of the last.

    Raises:
        RecipeError: When a slice has several models, or more than its layers would be scaled.
    """
    for part in document.slices:
        if len(part.inputs) != 1:
            raise part.node.refusal("passthrough takes one model at a time.", expected="one model")
    note_idle(document, ("scale",), ())
    first, last = document.slices[0].inputs[0], document.slices[-1].inputs[0]
    if document.is_whole:
        return _copy(document, first)
    merge: dict[str, Any] = {"method": "passthrough", "base": first.source}
    if last.source != first.source:
        merge["head"] = last.source
    merge |= common(document)
    if document.base != first.source:
        merge.setdefault("vocabulary", {"source": document.base})
        document.sources.note(
            f"base_model: the config is that of {first.source}, whose embedding the stack has; mergekit takes "
            f"that of {document.base}."
        )
    merge["slices"] = [_stacked(document, part) for part in document.slices]
    return merge


def _stacked(document: Document, part: OutputSlice) -> dict[str, Any]:
    (model,) = part.inputs
    found: dict[str, Any] = {"source": model.source, "layers": model.layers}
    scale = settings.setting(document.levels(part, model), "scale")
    if scale is None:
        return found
    for place, names in _OUTSIDE.items():
        reached = [name for name in names if settings.value_outside(scale, name) not in (None, 1)]
        if reached and part is document.slices[place]:
            raise part.node.refusal(
                f"mergekit would scale {' and '.join(reached)} with this slice; a stack scales layers alone.",
                way_out="Give `scale` filters that fit the names of a layer's tensors, such as `o_proj`.",
            )
    scale = _without_ones(scale)
    return found if scale is None else {**found, "scale": scale}


def _without_ones(scale: settings.Setting | None) -> settings.Setting | None:
    """Leave out what says that other tensors are copied: they are anyway."""
    if isinstance(scale, list) and scale[-1] == {"filter": settings.REST, "value": 1}:
        return [entry for entry in scale if isinstance(entry, dict)][:-1] or None
    return None if scale == 1 else scale


def _copy(document: Document, model: Input) -> dict[str, Any]:
    """Take a whole model, such as one with an adapter: the mean of it alone."""
    if document.base != model.source:  # mergekit adds the base, and has two models then
        raise document.fields["base_model"].refusal("passthrough takes one model at a time.", expected=model.source)
    scale = _without_ones(settings.setting(document.levels(document.slices[0], model), "scale"))
    scaled = {} if scale is None else {"normalize": False}
    weighted = {} if scale is None else {"weight": scale}
    merge = {"method": "linear", "base": model.source, **common(document), **scaled}
    return {**merge, "models": [{"source": model.source, **weighted}]}
