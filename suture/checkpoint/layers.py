"""The stack of layers of a language model, found by its numbered tensor names and its config."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from suture.errors import CheckpointError

COUNT_KEYS = (
    "decoder_layers",
    "num_decoder_layers",
    "num_layers_per_stack",
    "num_layers",
    "num_hidden_layers",
    "n_layer",
    "n_layers",
    "num_blocks",
    "layers",
)
"""What configs call the number of layers. The first that is there counts: beside it, `num_hidden_layers` may be that
of an encoder (Bart), or of passes through fewer layers (LongCat-Flash, HRM)."""

PREDICTION_KEYS = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_layers")
"""What configs call the number of multi-token-prediction layers."""

_LISTS_THAT_COUNT = ("layers_block_type", "layer_types")
"""Lists with an entry per layer, where no number is stated (Nemotron-H)."""

_SECTIONS = (
    "text_config",
    "thinker_config",
    "llm_config",
    "language_config",
    "vlm_config",
    "global_config",
    "decoder",
)
"""What a multimodal config calls the part that describes the language model, or the part that holds that part."""

_NUMBERED = re.compile(r"(.+?)\.(0|[1-9][0-9]*)\.(.+)")
_BESIDE_THE_TEXT = re.compile(
    r"vis|image|audio|speech|video|mtp|nextn|talker|code2wav|token2wav|qformer|q_former|resampler|perceiver|compressor"
)
"""In the names of stacks that are not the language model's: towers for images and sound, multi-token prediction."""

_PERHAPS_BESIDE = re.compile(r"(^|\.)(vit|encoder|\w+_encoder|\w+_tower|sam_model|qwen2_model|depth_decoder)(\.|$)")
"""The same, where there is another stack: the encoder of BERT is its language model."""

_SEVERAL: dict[str, tuple[str, ...]] = {
    "xlm": ("attentions", "layer_norm1", "ffns", "layer_norm2"),
    "hrm_text": ("H_module.layers", "L_module.layers"),
    "idefics": ("layers", "gated_cross_attn_layers"),
}
"""Model types whose layers are spread over several lists: the ends of these lists' names."""


@dataclass(frozen=True)
class LayerStack:
    """Where a model's layers are.

    Attributes:
        prefix: What comes before the number: `model.layers` or `model.language_model.layers`.
        count: How many layers there are.
        others: Prefixes of further lists that hold a part of each layer, as XLM has them.
    """

    prefix: str
    count: int
    others: tuple[str, ...] = ()

    def split(self, name: str) -> tuple[int, str] | None:
        """Return a tensor's layer and the rest of its name, or None if it is not in a layer.

        The rest begins with the whole name of its list, `*` for the number, if that is one of `others`.
        """
        found = _NUMBERED.fullmatch(name)
        if not found or int(found[2]) >= self.count:
            return None
        if found[1] == self.prefix:
            return int(found[2]), found[3]
        return (int(found[2]), f"{found[1]}.*.{found[3]}") if found[1] in self.others else None

    def name(self, layer: int, rest: str) -> str:
        """Return the name of a layer's tensor."""
        return rest.replace("*", str(layer), 1) if "*" in rest else f"{self.prefix}.{layer}.{rest}"

    def outside_name(self, name: str, layers: int) -> str:
        """Return what a tensor that is in no layer is called in a stack of so many layers.

        Multi-token prediction may be stored as one more layer, after the last (DeepSeek-V3, GLM-4.5): it stays that.
        """
        found = _NUMBERED.fullmatch(name)
        if not found or found[1] != self.prefix or int(found[2]) < self.count:
            return name
        return f"{self.prefix}.{int(found[2]) - self.count + layers}.{found[3]}"


def section_path(config: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """Return the keys that lead to the part of a config that describes the language model: `text_config`, often."""
    for key in _SECTIONS:
        nested = config.get(key)
        if isinstance(nested, dict):
            deeper = section_path(nested)
            if deeper or _states_a_count(nested):
                return (key, *deeper)
    return ()


def text_section(config: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """Return the part of a config that describes the language model: `text_config` of a multimodal one."""
    for key in section_path(config):
        nested = config[key]
        assert isinstance(nested, dict)  # noqa: S101 -- what `section_path` looked for
        config = nested
    return config


def layer_count(config: Mapping[str, JsonValue], where: str | Path = "config.json") -> int:
    """Return how many layers a config says the language model has.

    Args:
        config: Content of config.json.
        where: What errors call it.

    Raises:
        CheckpointError: When it does not say.
    """
    section = text_section(config)
    count = next((section[key] for key in COUNT_KEYS if section.get(key) is not None), None)
    if count is None:
        lists = (section.get(key) for key in _LISTS_THAT_COUNT)
        count = next((len(entries) for entries in lists if isinstance(entries, list)), None)
    if type(count) is not int or count < 1:
        raise CheckpointError(
            "The config does not say how many layers the model has.",
            where=where,
            expected=f"a positive number under {' or '.join(COUNT_KEYS)}",
            found=count,
        )
    return count


def prediction_layers(section: Mapping[str, JsonValue]) -> int:
    """Return how many multi-token-prediction layers a config speaks of."""
    numbers = [section[key] for key in PREDICTION_KEYS if isinstance(section.get(key), int)]
    return next((number for number in numbers if isinstance(number, int)), 0)


def find_layers(config: Mapping[str, JsonValue], names: Iterable[str], where: str) -> LayerStack:
    """Return the one stack of tensors numbered from 0 to the config's number of layers.

    Args:
        config: Content of config.json.
        names: The tensors' names.
        where: What errors call the model.

    Raises:
        CheckpointError: When there is none, or more than one.
    """
    count, section = layer_count(config), text_section(config)
    numbers: dict[str, set[int]] = defaultdict(set)
    for name in names:
        if found := _NUMBERED.fullmatch(name):
            numbers[found[1]].add(int(found[2]))
    stacks = {prefix: found for prefix, found in numbers.items() if not _BESIDE_THE_TEXT.search(prefix)}
    lengths = (count, count + prediction_layers(section))
    fitting = [
        prefix
        for prefix, found in stacks.items()
        if any(len(found) == length == max(found) + 1 for length in lengths)
    ]
    fitting = [prefix for prefix in fitting if not _PERHAPS_BESIDE.search(prefix)] or fitting
    together = _SEVERAL.get(str(section.get("model_type")), ())
    parts = [prefix for end in together for prefix in fitting if f".{prefix}".endswith(f".{end}")]
    if len(fitting) == 1 or (parts and len(parts) == len(together) == len(fitting)):
        first, *others = parts or fitting
        return LayerStack(first, count, tuple(others))
    shown = {prefix: f"{min(found)} to {max(found)}" for prefix, found in stacks.items()}
    raise CheckpointError(
        "The model's layers cannot be told from its tensors' names.",
        where=where,
        expected=f"one stack of tensors with the numbers 0 to {count - 1}, as the config says",
        found=", ".join(f"{prefix}: {numbers}" for prefix, numbers in sorted(shown.items())[:8]) or "no numbers",
    )


def _states_a_count(section: Mapping[str, JsonValue]) -> bool:
    return any(section.get(key) is not None for key in (*COUNT_KEYS, *_LISTS_THAT_COUNT))
