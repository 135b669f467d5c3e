"""The config of a new stack of layers: everything in it that is per layer follows the layers.

number of layers    the new count, wherever the config states the old one
lists per layer     `layer_types` and every other list as long as the stack: the entry of each layer's origin
lists of indices    `mlp_only_layers`, ...: the new places of the layers that were listed
texts per layer     `hybrid_override_pattern`: one character per layer
arithmetic          `full_attention_interval`, `first_k_dense_replace`, ...: kept if the new stack happens to obey
                    it, refused otherwise
layers that share   refused
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from pydantic import JsonValue

from suture.checkpoint.layers import COUNT_KEYS, layer_count, text_section
from suture.errors import SourceError

Config = Mapping[str, JsonValue]
LayerOrigins = Sequence[tuple[str, int]]
"""For each new layer: the source it comes from, and which of its layers it was."""

_INDEX_LISTS = frozenset(
    {"mlp_only_layers", "moe_layers", "attn_layer_indices", "cross_attention_layers", "global_attn_idxs"}
)
_PER_LAYER = frozenset({"layer_types", "mlp_layer_types", "layers_block_type", "no_rope_layers"})
_PER_LAYER_TEXTS = frozenset({"hybrid_override_pattern"})
_NEVER_PER_LAYER = frozenset(
    {"architectures", "eos_token_id", "bos_token_id", "time_step_limit", "mlp_multipliers", "ssm_multipliers"}
)
"""Lists whose length may equal the number of layers by chance, in small models."""

_SHARED = {
    "num_kv_shared_layers": "the last layers use the keys and values of earlier ones",
    "hidden_size_per_layer_input": "an embedding outside the layers has a part for each of them",
    "attention_types": "it counts the layers of each kind",
    "scale_attn_by_inverse_layer_idx": "attention is scaled by the layer's number",
    "is_encoder_decoder": "the model has two stacks of layers",
}
"""Fields that tie a layer to its place, and why it cannot be moved."""


def _number(section: Config, key: str) -> int:
    value = section.get(key)
    return value if isinstance(value, int) else 0


def _is_last_of(section: Config, key: str, layer: int) -> bool:
    """Return whether a layer is the last one of a period, whose length stands under `key`."""
    period = _number(section, key)
    return period > 0 and (layer + 1) % period == 0


def _is_at_offset(section: Config, kind: str, layer: int) -> bool:
    """Return whether a layer is at Jamba's offset in a period."""
    period = _number(section, f"{kind}_layer_period")
    return period > 0 and layer % period == _number(section, f"{kind}_layer_offset")


_RULES: dict[str, tuple[str | None, Callable[[Config, int], bool]]] = {
    "full_attention_interval": ("layer_types", lambda c, i: _is_last_of(c, "full_attention_interval", i)),
    "sliding_window_pattern": ("layer_types", lambda c, i: _is_last_of(c, "sliding_window_pattern", i)),
    "no_rope_layer_interval": ("no_rope_layers", lambda c, i: _is_last_of(c, "no_rope_layer_interval", i)),
    "interleave_moe_layer_step": ("moe_layers", lambda c, i: _is_last_of(c, "interleave_moe_layer_step", i)),
    "decoder_sparse_step": (None, lambda c, i: _is_last_of(c, "decoder_sparse_step", i)),
    "attn_layer_period": ("layers_block_type", lambda c, i: _is_at_offset(c, "attn", i)),
    "expert_layer_period": (None, lambda c, i: _is_at_offset(c, "expert", i)),
    "first_k_dense_replace": ("mlp_layer_types", lambda c, i: i < _number(c, "first_k_dense_replace")),
    "num_dense_layers": (None, lambda c, i: i < _number(c, "num_dense_layers")),
    "max_window_layers": (
        "layer_types",
        lambda c, i: bool(c.get("use_sliding_window")) and i >= _number(c, "max_window_layers"),
    ),
}
"""Field -> (the list that overrules it, if the config has one; what it makes of layer i)."""


PLACE_FIELDS = frozenset(
    {
        *COUNT_KEYS,
        *_INDEX_LISTS,
        *_PER_LAYER,
        *_PER_LAYER_TEXTS,
        *_RULES,
        "attn_layer_offset",
        "expert_layer_offset",
        "use_sliding_window",
    }
)
"""Everything that says which layer is of which kind."""


def stack_config(configs: Mapping[str, Config], base: str, origins: LayerOrigins) -> dict[str, JsonValue]:
    """Return the base's config, changed to describe a stack of the sources' layers.

    Args:
        configs: Source -> its config.
        base: The source whose config everything else is taken from.
        origins: For each new layer, its source and its place there.

    Raises:
        SourceError: When a config cannot describe the stack, with the reason.
    """
    config = copy.deepcopy(dict(configs[base]))
    sections = {source: text_section(config_) for source, config_ in configs.items()}
    stack = _Stack(sections, base, origins)
    section = cast("dict[str, JsonValue]", text_section(config))
    changed = {key: stack.field(key, value) for key, value in section.items()}
    stack.check()
    if section is not config:  # a multimodal config may state the count at its top as well
        config.update({key: len(origins) for key in COUNT_KEYS if config.get(key) == stack.counts[base]})
    section.update(changed)
    return config


def agree_on_mtp(config: dict[str, JsonValue], names: Iterable[str]) -> dict[str, JsonValue]:
    """Return the config with the number of multi-token-prediction layers that the tensors have.

    transformers leaves these layers out when it saves a model and keeps the number, and llama.cpp's server then
    refuses the converted file.
    """
    config = copy.deepcopy(config)
    section = cast("dict[str, JsonValue]", text_section(config))
    if "mtp_num_hidden_layers" in section:
        numbers = {name.split("mtp.layers.", 1)[1].split(".")[0] for name in names if "mtp.layers." in name}
        section["mtp_num_hidden_layers"] = len(numbers)
    return config


class _Stack:
    """Where each new layer comes from, and what the configs say of it there."""

    def __init__(self, sections: Mapping[str, Config], base: str, origins: LayerOrigins) -> None:
        self._sections = sections
        self._base = base
        self._origins = origins
        self.counts = {source: layer_count(section) for source, section in sections.items()}

    def field(self, key: str, value: JsonValue) -> JsonValue:
        """Return what a field of the base's config becomes."""
        if key in COUNT_KEYS and value == self.counts[self._base]:
            return len(self._origins)
        if key in _INDEX_LISTS and isinstance(value, list):
            return self._move_indices(key)
        if key in _PER_LAYER_TEXTS and isinstance(value, str):
            return "".join(cast("list[str]", self._follow(key)))
        return self._follow(key) if self._is_per_layer(key, value) else value

    def check(self) -> None:
        """Refuse what cannot be kept."""
        for source, section in self._sections.items():
            for key, reason in _SHARED.items():
                if section.get(key):
                    raise SourceError(
                        f"The layers of {source} cannot be stacked: {reason}.",
                        where="config.json",
                        found=f"{key}: {section[key]}",
                    )
            self._check_missing_lists(source, section)
        for key, (overruled_by, rule) in _RULES.items():
            if self._sections[self._base].get(key) is not None and not self._has_list(overruled_by):
                self._check_rule(key, rule)

    def _is_per_layer(self, key: str, value: JsonValue) -> bool:
        if not isinstance(value, list) or key in _NEVER_PER_LAYER:
            return False
        return key in _PER_LAYER or len(value) == self.counts[self._base]

    def _follow(self, key: str) -> list[JsonValue]:
        """Return a list per layer (or a text, one character per layer) for the new stack."""
        lists = {source: self._list_of(source, key) for source in dict(self._origins)}
        return [lists[source][layer] for source, layer in self._origins]

    def _list_of(self, source: str, key: str) -> Sequence[JsonValue]:
        count, value = self.counts[source], self._sections[source].get(key)
        if value is None and (uniform := _only(self._sections[self._base][key])) is not None:
            return [uniform] * count  # an older config that leaves out what is the same for all layers
        if not isinstance(value, list | str) or len(value) != count:
            raise SourceError(
                f"The layers of {source} cannot be stacked: its config has no {key} for each of them.",
                where="config.json",
                expected=f"{count} entries",
                found=value if value is None else f"{len(cast('list[JsonValue]', value))} entries",
                way_out="Load and save the source once with a current transformers: it completes the config.",
            )
        return value

    def _move_indices(self, key: str) -> list[JsonValue]:
        listed = {source: cast("list[JsonValue]", self._sections[source].get(key) or []) for source in self._sections}
        return [place for place, (source, layer) in enumerate(self._origins) if layer in listed[source]]

    def _check_missing_lists(self, source: str, section: Config) -> None:
        """Refuse a list per layer that the base's config lacks, unless it says the same of all layers."""
        base = self._sections[self._base]
        for key in _PER_LAYER & section.keys() - base.keys():
            if _only(section[key]) is None:
                raise SourceError(
                    f"The config of {self._base} does not say of each layer what that of {source} does.",
                    where="config.json",
                    expected=f"{key}, as in {source}",
                    way_out=f"Load and save {self._base} once with a current transformers: it completes the config.",
                )

    def _has_list(self, key: str | None) -> bool:
        return key is not None and isinstance(self._sections[self._base].get(key), list)

    def _check_rule(self, key: str, rule: Callable[[Config, int], bool]) -> None:
        base = self._sections[self._base]
        for place, (source, layer) in enumerate(self._origins):
            if rule(base, place) != rule(self._sections[source], layer):
                raise SourceError(
                    f"The stack breaks the rule {key}: {base[key]} of the config, which gives each layer its kind.",
                    where="config.json",
                    expected=f"layer {place} of the new stack to be of the kind of layer {layer} of {source}",
                    found="the other kind",
                    way_out="Choose slices that keep the rhythm of the layers.",
                )


def _only(value: JsonValue) -> JsonValue:
    """Return the one value that all entries of a list have, else None."""
    entries = value if isinstance(value, list) else []
    return entries[0] if entries and all(entry == entries[0] for entry in entries) else None
