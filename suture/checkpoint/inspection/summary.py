"""What a checkpoint holds, at a glance: layers by kind, and what lies outside of them. Reads no weights."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

from pydantic import JsonValue

from suture.checkpoint.inspection.groups import Part, part_of, pattern_of
from suture.checkpoint.layers import LayerStack, find_layers, text_section
from suture.checkpoint.layout import Layout
from suture.checkpoint.tensors import TensorInfo, layer_order
from suture.errors import CheckpointError

_NOT_OF_LAYERS = (
    *("token_id", "architectures", "multipliers", "limit"),
    *(
        "only_layers",
        "moe_layers",
        "layer_indices",
        "attention_layers",
        "attn_idxs",
    ),  # which layers, not what each is
)
"""How fields end whose list may be as long as the stack by chance."""

_STACKS_TRIED = 8
"""A model has at most a few stacks of blocks, with as many tensors as any."""

_FIRST_NUMBER = re.compile(r"(.+?)\.(\d{1,6})\.", re.ASCII)


@dataclass(frozen=True)
class Alike:
    """Tensors that differ in nothing but the numbers in their names, such as those of all experts.

    Attributes:
        pattern: Their name with a star for each number.
        info: Dtype and shape of each of them.
        count: How many there are.
    """

    pattern: str
    info: TensorInfo
    count: int

    @property
    def parameters(self) -> int:
        """Of all of them."""
        return self.count * self.info.parameters

    @property
    def nbytes(self) -> int:
        """Of all of them."""
        return self.count * self.info.nbytes


@dataclass(frozen=True)
class LayerKind:
    """Layers with the same tensors, of which the config says the same.

    Attributes:
        settings: Field -> what its list says of these layers: `layer_types` -> `full_attention`.
        layers: Their numbers, ascending.
        tensors: What each of them holds.
    """

    settings: Mapping[str, JsonValue]
    layers: tuple[int, ...]
    tensors: tuple[Alike, ...]

    @property
    def parameters(self) -> int:
        """Of one layer."""
        return sum(alike.parameters for alike in self.tensors)

    @property
    def nbytes(self) -> int:
        """Of one layer."""
        return sum(alike.nbytes for alike in self.tensors)


@dataclass(frozen=True)
class Summary:
    """What a checkpoint holds.

    Attributes:
        layout: Its config, tensors and files.
        stack: Where the layers are; None if they could not be told.
        misfit: Why the layers are not what the config says, if so.
        kinds: The layers, in the order of each kind's first.
        outside: Part of the model -> its tensors outside of the layers.
    """

    layout: Layout
    stack: LayerStack | None
    misfit: CheckpointError | None
    kinds: tuple[LayerKind, ...]
    outside: Mapping[Part, tuple[Alike, ...]]

    @property
    def dtypes(self) -> dict[str, TensorTotal]:
        """Dtype -> how much is stored in it, the most bytes first."""
        totals: dict[str, TensorTotal] = {}
        for info in self.layout.tensors.values():
            totals[info.dtype] = totals.get(info.dtype, TensorTotal()).plus(info)
        return dict(sorted(totals.items(), key=lambda item: -item[1].nbytes))


@dataclass(frozen=True)
class TensorTotal:
    """Some tensors taken together."""

    tensors: int = 0
    parameters: int = 0
    nbytes: int = 0

    def plus(self, info: TensorInfo) -> TensorTotal:
        """Return the total with one more tensor."""
        return TensorTotal(self.tensors + 1, self.parameters + info.parameters, self.nbytes + info.nbytes)


def summarize(layout: Layout, where: str) -> Summary:
    """Return what a checkpoint holds.

    Args:
        layout: The checkpoint.
        where: What errors call it.
    """
    stack, misfit = _find_stack(layout, where)
    layers: dict[int, dict[str, TensorInfo]] = defaultdict(dict)
    outside: dict[Part, dict[str, TensorInfo]] = defaultdict(dict)
    for name in sorted(layout.tensors, key=layer_order):
        if stack and (place := stack.split(name)):
            layers[place[0]][place[1]] = layout.tensors[name]
        else:
            outside[_part(name, stack)][name] = layout.tensors[name]
    settings = layer_settings(layout.config, stack.count) if stack else {}
    parts: dict[Part, tuple[Alike, ...]] = {part: _alike(tensors) for part, tensors in outside.items()}
    return Summary(layout, stack, misfit, _kinds(layers, settings), parts)


def _part(name: str, stack: LayerStack | None) -> Part:
    """Return the part of a model that a tensor outside of its layers is of; a layer after the last is `mtp`."""
    is_one_more = stack is not None and stack.outside_name(name, stack.count + 1) != name
    return "mtp" if is_one_more else part_of(name)


def layer_settings(config: Mapping[str, JsonValue], count: int) -> dict[str, Sequence[JsonValue]]:
    """Return the config's lists with an entry for each layer.

    Args:
        config: Content of config.json.
        count: How many layers there are.
    """
    found: dict[str, Sequence[JsonValue]] = {}
    for field, value in text_section(config).items():
        is_text = isinstance(value, str) and field.endswith("_pattern")  # a character per layer
        if (isinstance(value, list) or is_text) and not field.endswith(_NOT_OF_LAYERS):
            entries = cast("Sequence[JsonValue]", value)
            if len(entries) == count:
                found[field] = entries
    return found


def runs(numbers: Sequence[int]) -> str:
    """Return ascending numbers as a text: `0-3, 7`, or `3, 7 ... 31 (every 4th)` where they are evenly spread."""
    steps = {after - before for before, after in pairwise(numbers)}
    if len(numbers) > 3 and len(steps) == 1 and (step := steps.pop()) > 1:
        return f"{numbers[0]}, {numbers[1]} ... {numbers[-1]} (every {'2nd' if step == 2 else _ordinal(step)})"
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][-1] + 1:
            found[-1] = [found[-1][0], number]
        else:
            found.append([number])
    texts = ["-".join(map(str, run)) for run in found]
    return ", ".join(texts if len(texts) <= 6 else [*texts[:3], f"... {texts[-1]}"])


def _ordinal(number: int) -> str:
    return "3rd" if number == 3 else f"{number}th"


def _find_stack(layout: Layout, where: str) -> tuple[LayerStack | None, CheckpointError | None]:
    """Return where the layers are. If the config miscounts them, the tensors are asked alone."""
    try:
        return find_layers(layout.config, layout.tensors, where), None
    except CheckpointError as error:
        misfit = error
    prefixes = Counter(found[1] for name in layout.tensors if (found := _FIRST_NUMBER.match(name)))
    tried = dict.fromkeys((prefix for prefix, _ in prefixes.most_common(_STACKS_TRIED)), 0)
    for name in layout.tensors:
        if (found := _FIRST_NUMBER.match(name)) and found[1] in tried:
            tried[found[1]] = max(tried[found[1]], int(found[2]) + 1)
    for count in tried.values():
        try:
            return find_layers({"num_hidden_layers": count}, layout.tensors, where), misfit
        except CheckpointError:
            continue
    return None, misfit


def _kinds(
    layers: Mapping[int, Mapping[str, TensorInfo]], settings: Mapping[str, Sequence[JsonValue]]
) -> tuple[LayerKind, ...]:
    kinds: dict[str, LayerKind] = {}
    for layer, tensors in sorted(layers.items()):
        said = {field: entries[layer] for field, entries in settings.items()}
        alike = _alike(tensors)
        kind = kinds.setdefault(json.dumps(said) + repr(alike), LayerKind(said, (), alike))
        kinds[json.dumps(said) + repr(alike)] = LayerKind(said, (*kind.layers, layer), alike)
    return tuple(kinds.values())


def _alike(tensors: Mapping[str, TensorInfo]) -> tuple[Alike, ...]:
    counts = Counter((pattern_of(name), info) for name, info in tensors.items())
    return tuple(Alike(pattern, info, count) for (pattern, info), count in counts.items())


def total_of(alike: Iterable[Alike]) -> TensorTotal:
    """Return several groups of tensors taken together."""
    groups = list(alike)
    return TensorTotal(
        sum(group.count for group in groups),
        sum(group.parameters for group in groups),
        sum(group.nbytes for group in groups),
    )
