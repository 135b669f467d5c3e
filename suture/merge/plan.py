"""The account of a merge: where each tensor of the result comes from, what becomes of each tensor of the sources.

Pure: it needs the sources' layouts alone, so that it is known before anything is fetched; the engine carries it out.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from suture.checkpoint.companions import is_companion
from suture.checkpoint.config import agree_on_mtp, stack_config
from suture.checkpoint.layers import LayerStack, find_layers
from suture.checkpoint.layout import CONFIG, Layout, TensorInfo
from suture.checkpoint.shards import INDEX
from suture.checkpoint.tensors import layer_order
from suture.checkpoint.writer import deal_out
from suture.errors import RecipeError, SourceError
from suture.merge.fit import Layouts, check_configs, check_layers, check_tensors
from suture.recipe import Linear, Merge, Passthrough


@dataclass(frozen=True)
class Input:
    """A tensor of a source."""

    source: str
    tensor: str


@dataclass(frozen=True)
class Output:
    """A tensor of the result.

    Attributes:
        name: Its name.
        info: Its dtype and shape.
        inputs: What it is made of.
        method: How: a name of `suture.merge.table.METHODS`, or `passthrough` if its one input is copied.
        parameters: What else the method's function takes.
    """

    name: str
    info: TensorInfo
    inputs: tuple[Input, ...]
    method: str = "passthrough"
    parameters: Mapping[str, tuple[float, ...]] = field(default_factory=dict[str, tuple[float, ...]])


@dataclass(frozen=True)
class Dropped:
    """A tensor of a source that is in no tensor of the result."""

    tensor: str
    source: str
    reason: str


@dataclass(frozen=True)
class MergePlan:
    """What a merge will do.

    Attributes:
        layout: The result.
        outputs: The result's tensors in the order they are written.
        dropped: What is left over of the sources.
        seams: The new layers before which the source or the run of consecutive layers breaks.
    """

    layout: Layout
    outputs: tuple[Output, ...]
    dropped: tuple[Dropped, ...]
    seams: tuple[int, ...]


def plan_merge(merge: Merge, layouts: Layouts, shard_bytes: int) -> MergePlan:
    """Return the account of a merge.

    Args:
        merge: What the recipe asks for.
        layouts: The sources in use, by name.
        shard_bytes: Bytes of tensors per file at most.

    Raises:
        RecipeError: When a slice goes past a source's last layer, or the weights give no mean.
        SourceError: When the sources are not of one shape, or no config can describe the result.
        CheckpointError: When a source's layers cannot be found.
    """
    match merge:
        case Passthrough():
            return _stack(merge, layouts, shard_bytes)
        case Linear():
            return _average(merge, layouts, shard_bytes)


def _stack(merge: Passthrough, layouts: Layouts, shard_bytes: int) -> MergePlan:
    _check_ranges(merge, layouts)
    origins = [(part.source, layer) for part in merge.slices for layer in range(*part.layers)]
    stacks = {name: find_layers(layout.config, layout.tensors, f"source {name}") for name, layout in layouts.items()}
    layers = {name: _layer_tensors(layouts[name], stack) for name, stack in stacks.items()}
    for name, stack in stacks.items():
        check_configs(layouts, merge.base, name, layer_by_layer=False)
        _check_prefix(merge.base, stacks[merge.base], name, stack)
        used = {layer: layers[name][layer] for source, layer in origins if source == name}
        check_layers(layouts, (merge.base, layers[merge.base]), (name, used))
    base = stacks[merge.base]
    copies = [(name, merge.base, name) for name in layouts[merge.base].tensors if base.split(name) is None]
    copies += [
        (base.name(place, rest), source, tensor)
        for place, (source, layer) in enumerate(origins)
        for rest, tensor in layers[source][layer].items()
    ]
    outputs = [
        Output(name, layouts[source].tensors[tensor], (Input(source, tensor),)) for name, source, tensor in copies
    ]

    def reason(source: str, tensor: str) -> str:
        if stacks[source].split(tensor):
            return "its layer is in no slice"
        return f"all that is in no layer comes from the base, {merge.base}"

    config = stack_config({name: layout.config for name, layout in layouts.items()}, merge.base, origins)
    seams = tuple(place for place in range(1, len(origins)) if not _follows(origins[place - 1], origins[place]))
    return _account(layouts, merge.base, config, outputs, reason, seams, shard_bytes)


def _average(merge: Linear, layouts: Layouts, shard_bytes: int) -> MergePlan:
    if not _give_a_mean(merge.weights.values()):
        raise RecipeError(
            "The weights give no mean.",
            where="merge.weights",
            expected="numbers whose sum is not 0",
            found=merge.weights,
        )
    for name in layouts:
        check_configs(layouts, merge.base, name, layer_by_layer=True)
        check_tensors(layouts, merge.base, name)
    # In the order of the step's parents, which its key knows: a sum of three depends on their order.
    order = [name for name in merge.sources if name in merge.weights]
    weights = {"weights": tuple(merge.weights[name] for name in order)}
    outputs = [
        Output(name, info, tuple(Input(source, name) for source in order), merge.method, weights)
        for name, info in layouts[merge.base].tensors.items()
    ]
    config = layouts[merge.base].config

    def reason(_source: str, _tensor: str) -> str:
        return "the base has no weight: it gives the config and the tokenizer"

    return _account(layouts, merge.base, config, outputs, reason, (), shard_bytes)


def _give_a_mean(weights: Collection[float]) -> bool:
    """Return whether weights can be divided by their sum; 0.1 + 0.2 - 0.3 is meant to be 0 and is not quite."""
    total = math.fsum(weights)
    return abs(total) > 1e-6 * max(map(abs, weights)) and math.isfinite(total)


def _account(
    layouts: Layouts,
    base: str,
    config: dict[str, JsonValue],
    outputs: Iterable[Output],
    reason: Callable[[str, str], str],
    seams: tuple[int, ...],
    shard_bytes: int,
) -> MergePlan:
    """Return the whole account; `reason` tells of a source's tensor why nothing was made of it."""
    ordered = sorted(outputs, key=lambda output: layer_order(output.name))
    tensors = {output.name: output.info for output in ordered}
    shards = deal_out(tensors, shard_bytes)
    files = {CONFIG, *shards, *filter(is_companion, layouts[base].files)}
    if len(shards) > 1:
        files.add(INDEX)
    used = {made_of for output in ordered for made_of in output.inputs}
    dropped = [
        Dropped(tensor, source, reason(source, tensor))
        for source, layout in layouts.items()
        for tensor in sorted(layout.tensors, key=layer_order)
        if Input(source, tensor) not in used
    ]
    layout = Layout(agree_on_mtp(config, tensors), tensors, tuple(sorted(files)))
    return MergePlan(layout, tuple(ordered), tuple(dropped), seams)


def _check_ranges(merge: Passthrough, layouts: Layouts) -> None:
    for number, part in enumerate(merge.slices):
        layers = layouts[part.source].layers
        if part.layers[1] > layers:
            raise RecipeError(
                f"A slice goes past the last layer of {part.source}, which has {layers} layers.",
                where=f"merge.slices.{number}.layers",
                expected=f"an end of at most {layers}",
                found=list(part.layers),
            )


def _check_prefix(base: str, base_stack: LayerStack, name: str, stack: LayerStack) -> None:
    if stack.prefix != base_stack.prefix:
        raise SourceError(
            f"{name} names its layers otherwise than {base}.", expected=base_stack.prefix, found=stack.prefix
        )


def _layer_tensors(layout: Layout, stack: LayerStack) -> dict[int, dict[str, str]]:
    """Return, for each layer, what follows the number in its tensors' names -> the whole names."""
    layers: dict[int, dict[str, str]] = defaultdict(dict)
    for name in layout.tensors:
        if place := stack.split(name):
            layers[place[0]][place[1]] = name
    return layers


def _follows(before: tuple[str, int], after: tuple[str, int]) -> bool:
    return after == (before[0], before[1] + 1)
