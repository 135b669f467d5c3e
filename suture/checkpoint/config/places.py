"""What ties a layer to its place in a model, or to its neighbours, so that it cannot be stacked anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue

from suture.checkpoint.config.kinds import PLACE_FIELDS
from suture.checkpoint.layers import text_section
from suture.errors import SourceError

Config = Mapping[str, JsonValue]
LayerOrigins = Sequence[tuple[str, int]]
"""For each new layer: the source it comes from, and which of its layers it was."""

_TYPES = {
    "big_bird": "attention looks at random places, drawn by the layer's number",
    "zamba": "one attention block is shared by many layers",
    "zamba2": "attention blocks are shared by many layers",
    "diffllama": "attention subtracts by a factor that depends on the layer's number",
    "blt": "it has several stacks of layers, for bytes and for patches",
}
"""Model type -> why its layers have no place but their own."""

_FIELDS = {
    "num_kv_shared_layers": "the last layers use the keys and values of earlier ones",
    "hidden_size_per_layer_input": "an embedding outside the layers has a part for each of them",
    "scale_attn_by_inverse_layer_idx": "attention is scaled by the layer's number",
    "is_encoder_decoder": "the model has two stacks of layers",
    "ple_layer_ids": "an embedding outside the layers has a part for some of them",
}
"""Field -> why, where it is given and neither 0 nor false nor empty."""

_RHYTHM = re.compile(
    r".*(interval|period|every_n|_freq|frequency)(_.*)?|.*layers?_(step|offset|start|end|first|last)(_.*)?|"
    r"(first|last)_\w*layers?.*|num_\w*(dense|sparse|global|local|full)\w*_layers"
)
"""Numbers that give layers their kind, by their names: those that `rules.py` does not know."""


def check_places(source: str, config: Config, places: Sequence[int | None]) -> None:
    """Refuse a stack that takes a layer from its place, where it depends on that.

    Args:
        source: A source's name.
        config: Its config.
        places: For each layer of the stack, which of this source's layers it was; None for another source's.

    Raises:
        SourceError: With the reason.
    """
    section = text_section(config)
    for field, found, reason in _ties(config, section):
        raise SourceError(
            f"The layers of {source} cannot be stacked: {reason}.", where="config.json", found=f"{field}: {found}"
        )
    _check_shared_indexers(source, section, places)


def check_entries(config: Config, origins: LayerOrigins) -> None:
    """Refuse a stack where features from outside enter at other layers than in the sources.

    Args:
        config: The base's config.
        origins: For each new layer, its source and its place there.

    Raises:
        SourceError: Naming the first layer that is not where it was.
    """
    for field, layers in _entry_layers(config):
        for layer in layers:
            if layer >= len(origins) or origins[layer][1] != layer:
                raise SourceError(
                    f"Features from outside enter at layer {layer}, which is another layer in the stack.",
                    where="config.json",
                    expected=f"layer {layer} of a source as layer {layer} of the stack, as {field} has it",
                    found=f"layer {origins[layer][1]} of {origins[layer][0]}"
                    if layer < len(origins)
                    else "fewer layers",
                    way_out=f"Begin the stack with layers 0 to {max(layers)} of one source.",
                )


def _ties(config: Config, section: Config) -> Iterator[tuple[str, JsonValue, str]]:
    kind = section.get("model_type")
    if isinstance(kind, str) and kind in _TYPES:
        yield "model_type", kind, _TYPES[kind]
    for field, reason in _FIELDS.items():
        found = section.get(field) or (config.get(field) if field == "is_encoder_decoder" else None)
        if found:
            yield field, found, reason
    for field, value in section.items():
        is_rhythm = _RHYTHM.fullmatch(field) and field not in PLACE_FIELDS and field not in _FIELDS
        if is_rhythm and type(value) is int and value > 1:
            yield (
                field,
                value,
                "a number in its config may say which layers are of a kind, in a way that is not known",
            )
    interval = section.get("cross_layer_interval") or config.get("cross_layer_interval")
    if isinstance(interval, int) and interval > 1:
        yield "cross_layer_interval", interval, "layers for the image stand between some of them"


def _entry_layers(config: Config) -> Iterator[tuple[str, Sequence[int]]]:
    """Yield the layers of the language model where features from outside enter, or that are read from outside."""
    match config.get("vision_config"):
        case {"deepstack_visual_indexes": [*features]} if features:
            yield "deepstack_visual_indexes", range(len(features))
        case _:
            pass
    match config.get("deepstack_layer_map"):  # pairs of a layer of the tower and one of the language model
        case [*pairs] if pairs:
            numbers = [pair[1] for pair in pairs if isinstance(pair, list)]
            yield "deepstack_layer_map", [number for number in numbers if isinstance(number, int)]
        case _:
            pass
    match config.get("spatial_target_layers"):
        case [*layers] if config.get("use_spatial_sampling", True):
            yield "spatial_target_layers", [layer for layer in layers if isinstance(layer, int)]
        case _:
            pass
    match config.get("talker_config"):
        case {"accept_hidden_layer": int(layer)}:
            yield "talker_config.accept_hidden_layer", range(layer)
        case _:
            pass


def _check_shared_indexers(source: str, section: Config, places: Sequence[int | None]) -> None:
    """Refuse to part a layer from the one before it whose choice of tokens it shares."""
    kinds = section.get("indexer_types")
    if not isinstance(kinds, list):
        return
    for place, layer in enumerate(places):
        if layer is None:
            continue
        before, after = ([None, *places, None][place + step] for step in (0, 2))
        needs = layer - 1 if kinds[layer] == "shared" else before
        gives = layer + 1 if kinds[layer + 1 : layer + 2] == ["shared"] else after
        if (before, after) != (needs, gives):
            raise SourceError(
                f"The stack parts layers of {source} that share which tokens they attend to.",
                where="config.json",
                expected=f"layer {layer} of {source} beside its neighbour that shares with it",
                found=f"indexer_types: {kinds}",
            )
