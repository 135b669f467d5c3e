"""The stack of layers of a language model, found by its numbered tensor names and its config."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from suture.errors import CheckpointError

COUNT_KEYS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
"""What configs call the number of layers."""

_NUMBERED = re.compile(r"(.+?)\.(0|[1-9][0-9]*)\.(.+)")
_BESIDE_THE_TEXT = re.compile(r"vis|image|audio|speech|mtp|nextn")
"""In the names of stacks that are not the language model's: towers for images and sound, multi-token prediction."""


@dataclass(frozen=True)
class LayerStack:
    """Where a model's layers are.

    Attributes:
        prefix: What comes before the number: `model.layers` or `model.language_model.layers`.
        count: How many layers there are.
    """

    prefix: str
    count: int

    def split(self, name: str) -> tuple[int, str] | None:
        """Return a tensor's layer and the rest of its name, or None if it is not in a layer."""
        found = _NUMBERED.fullmatch(name)
        return (int(found[2]), found[3]) if found and found[1] == self.prefix else None

    def name(self, layer: int, rest: str) -> str:
        """Return the name of a layer's tensor."""
        return f"{self.prefix}.{layer}.{rest}"


def text_section(config: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """Return the part of a config that describes the language model: `text_config` of a multimodal one."""
    nested = config.get("text_config")
    return nested if isinstance(nested, dict) and any(key in nested for key in COUNT_KEYS) else config


def layer_count(config: Mapping[str, JsonValue]) -> int:
    """Return how many layers a config says the language model has.

    Raises:
        CheckpointError: When it does not say.
    """
    section = text_section(config)
    count = next((section[key] for key in COUNT_KEYS if key in section), None)
    if type(count) is not int or count < 1:
        raise CheckpointError(
            "The config does not say how many layers the model has.",
            where="config.json",
            expected=f"a positive number under {' or '.join(COUNT_KEYS)}",
            found=count,
        )
    return count


def find_layers(config: Mapping[str, JsonValue], names: Iterable[str], where: str) -> LayerStack:
    """Return the one stack of tensors numbered from 0 to the config's number of layers.

    Args:
        config: Content of config.json.
        names: The tensors' names.
        where: What errors call the model.

    Raises:
        CheckpointError: When there is none, or more than one.
    """
    count = layer_count(config)
    numbers: dict[str, set[int]] = defaultdict(set)
    for name in names:
        if found := _NUMBERED.fullmatch(name):
            numbers[found[1]].add(int(found[2]))
    stacks = {prefix: found for prefix, found in numbers.items() if not _BESIDE_THE_TEXT.search(prefix)}
    fitting = [prefix for prefix, found in stacks.items() if found == set(range(count))]
    if len(fitting) == 1:
        return LayerStack(fitting[0], count)
    shown = {prefix: f"{min(found)} to {max(found)}" for prefix, found in stacks.items()}
    raise CheckpointError(
        "The model's layers cannot be told from its tensors' names.",
        where=where,
        expected=f"one stack of tensors with the numbers 0 to {count - 1}, as the config says",
        found=", ".join(f"{prefix}: {numbers}" for prefix, numbers in sorted(shown.items())[:8]) or "no numbers",
    )
