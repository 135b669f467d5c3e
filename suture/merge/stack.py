"""What becomes of the tensors of a stack: slices of layers, one after the other, copied as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from suture.checkpoint.config import stack_config
from suture.checkpoint.layers import LayerStack, find_layers
from suture.checkpoint.layout import Layout
from suture.errors import RecipeError, SourceError
from suture.merge.account import Draft, Input, Output
from suture.merge.fit import Layouts, check_configs, check_layers, check_positions
from suture.merge.outside import is_head
from suture.merge.settings import value_at
from suture.recipe import Passthrough, Slice


def draft_stack(merge: Passthrough, layouts: Layouts) -> Draft:
    """Return what becomes of a stack's tensors.

    Raises:
        RecipeError: When a slice goes past a source's last layer.
        SourceError: When the sources are not of one shape, or no config can describe the result.
        CheckpointError: When a source's layers cannot be found.
    """
    slices = merge.plain_slices
    check_ranges(((part.source, part.layers) for part in slices), layouts, "merge.slices")
    origins = merge.origins
    stacks = find_stacks(layouts)
    layers = {name: layer_tensors(layouts[name], stack) for name, stack in stacks.items()}
    for name, stack in stacks.items():
        check_configs(layouts, merge.base, name, layer_by_layer=False)
        check_prefix(merge.base, stacks[merge.base], name, stack)
        used = {layer: layers[name][layer] for source, layer in origins if source == name}
        check_layers(layouts, (merge.base, layers[merge.base]), (name, used))
    # The config first: it says best why a layer cannot be moved.
    config = stack_config({name: layout.config for name, layout in layouts.items()}, merge.base, origins)
    check_positions(layouts, layers, origins)
    outputs = [*_outside(merge, layouts, stacks, len(origins)), *_inside(slices, layouts, stacks[merge.base], layers)]

    def reason(source: str, tensor: str) -> str:
        if stacks[source].split(tensor):
            return "its layer is in no slice"
        if merge.head not in (None, merge.base) and is_head(tensor):
            return f"the final norm and the head come from {merge.head}"
        return f"all that is in no layer comes from the base, {merge.base}"

    return Draft(config, tuple(outputs), reason, seams(origins))


def seams(origins: Sequence[tuple[str, int]]) -> tuple[int, ...]:
    """Return the new layers before which the source or the run of consecutive layers breaks."""
    pairs = enumerate(pairwise(origins), 1)
    return tuple(place for place, (before, after) in pairs if after != (before[0], before[1] + 1))


def find_stacks(layouts: Layouts) -> dict[str, LayerStack]:
    """Return where each source's layers are."""
    return {name: find_layers(layout.config, layout.tensors, f"source {name}") for name, layout in layouts.items()}


def layer_tensors(layout: Layout, stack: LayerStack) -> dict[int, dict[str, str]]:
    """Return, for each layer, what follows the number in its tensors' names -> the whole names."""
    layers: dict[int, dict[str, str]] = {layer: {} for layer in range(stack.count)}
    for name in layout.tensors:
        if (place := stack.split(name)) and place[0] in layers:
            layers[place[0]][place[1]] = name
    return layers


def check_ranges(parts: Iterable[tuple[str, tuple[int, int]]], layouts: Layouts, where: str) -> None:
    """Refuse slices that go past the last layer of their source.

    Raises:
        RecipeError: Naming the first of them.
    """
    for number, (source, layers) in enumerate(parts):
        count = layouts[source].layers
        if layers[1] > count:
            raise RecipeError(
                f"A slice goes past the last layer of {source}, which has {count} layers.",
                where=f"{where}.{number}.layers",
                expected=f"an end of at most {count}",
                found=list(layers),
            )


def check_prefix(base: str, base_stack: LayerStack, name: str, stack: LayerStack) -> None:
    """Refuse a source that names its layers otherwise than the base.

    Raises:
        SourceError: With both beginnings.
    """
    if stack.prefix != base_stack.prefix:
        raise SourceError(
            f"{name} names its layers otherwise than {base}.", expected=base_stack.prefix, found=stack.prefix
        )


def _outside(merge: Passthrough, layouts: Layouts, stacks: Mapping[str, LayerStack], layers: int) -> Iterator[Output]:
    base, head = merge.base, merge.head or merge.base
    for name, info in layouts[base].tensors.items():
        if stacks[base].split(name) is not None:
            continue
        source = head if is_head(name) else base
        other = layouts[source].tensors.get(name)
        if other is None or other.shape != info.shape:
            raise SourceError(
                f"{source} has no final norm and head like those of {base}.",
                where=name,
                expected=str(info),
                found=str(other or "no such tensor"),
                way_out=f"Leave out `head`: it comes from {base} then.",
            )
        yield Output(stacks[base].outside_name(name, layers), other, (Input(source, name),))


def _inside(
    slices: tuple[Slice, ...],
    layouts: Layouts,
    base: LayerStack,
    layers: Mapping[str, Mapping[int, Mapping[str, str]]],
) -> Iterator[Output]:
    place = 0
    for part in slices:
        count = part.layers[1] - part.layers[0]
        for offset in range(count):
            for rest, tensor in layers[part.source][part.layers[0] + offset].items():
                name = base.name(place, rest)
                depth = offset / (count - 1) if count > 1 else 1.0
                info = layouts[part.source].tensors[tensor]
                scale = value_at(part.scale, name=name, depth=depth, default=1.0)
                parameters: dict[str, Any] = {} if scale == 1 else {"scale": scale}
                yield Output(name, info, (Input(part.source, tensor),), parameters=parameters)
            place += 1
