"""Arithmetic that gives each layer its kind: periods, offsets, and how many come first."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from suture.checkpoint.config.forms import Entries
from suture.checkpoint.layers import layer_count

Config = Mapping[str, JsonValue]

FULL, SLIDING, LINEAR = "full_attention", "sliding_attention", "linear_attention"
DENSE, SPARSE = "dense", "sparse"


@dataclass(frozen=True)
class Rule:
    """Arithmetic that gives each layer its kind.

    Attributes:
        fields: What it reads; it applies where the first of them is in the config. With the least value of each.
        entry: The section of the config and a layer -> what is said of the layer.
    """

    fields: Mapping[str, int]
    entry: Callable[[Config, int], JsonValue]

    @property
    def name(self) -> str:
        """The field by which it is known."""
        return next(iter(self.fields))

    def applies(self, section: Config) -> bool:
        """Return whether a config has the rule."""
        return isinstance(section.get(self.name), int)

    def entries(self, section: Config, count: int) -> Entries:
        """Return what it says of each layer."""
        return [self.entry(section, layer) for layer in range(count)]

    def values(self, section: Config, wanted: Entries) -> Mapping[str, JsonValue] | None:
        """Return values of its fields for which it says this of each layer, None if there are none."""
        ranges = [range(least, len(wanted) + 2) for least in self.fields.values()]
        for numbers in itertools.product(*ranges):
            tried = dict(zip(self.fields, numbers, strict=True))
            changed = {**section, **tried}
            if all(self.entry(changed, layer) == entry for layer, entry in enumerate(wanted)):
                return tried
        return None


def _number(section: Config, key: str) -> int:
    value = section.get(key)
    return value if isinstance(value, int) else 0


def _ends(section: Config, key: str, layer: int) -> bool:
    """Return whether a layer is the last of a period, whose length stands under `key`."""
    period = _number(section, key)
    return period > 0 and (layer + 1) % period == 0


def _is_at(section: Config, kind: str, layer: int) -> bool:
    """Return whether a layer is at Jamba's offset in a period."""
    period = _number(section, f"{kind}_layer_period")
    return period > 0 and layer % period == _number(section, f"{kind}_layer_offset")


def _period(field: str, last: JsonValue, others: JsonValue) -> Rule:
    return Rule({field: 1}, lambda c, i: last if _ends(c, field, i) else others)


def _first(field: str, first: JsonValue, others: JsonValue) -> Rule:
    return Rule({field: 0}, lambda c, i: first if i < _number(c, field) else others)


def _every_nth_is_full(section: Config, layer: int) -> JsonValue:
    period = max(_number(section, "global_attn_every_n_layers"), 1)
    place = layer if section.get("model_type") == "modernbert-decoder" else layer + 1
    return SLIDING if place % period else FULL


def _is_sparse(section: Config, layer: int) -> bool:
    listed = section.get("mlp_only_layers")
    return _ends(section, "decoder_sparse_step", layer) and not (isinstance(listed, list) and layer in listed)


def _is_ernie_sparse(section: Config, layer: int) -> bool:
    end = section.get("moe_layer_end_index")
    last = end if isinstance(end, int) and end >= 0 else layer
    return _ends(section, "moe_layer_interval", layer) and _number(section, "moe_layer_start_index") <= layer <= last


def _has_aligner(section: Config, layer: int) -> bool:
    return (layer + 1) % max(layer_count(section) // max(_number(section, "aligner_num_add_layers"), 1), 1) == 0


LAYER_TYPE_RULES = (
    _period("full_attention_interval", FULL, LINEAR),
    _period("sliding_window_pattern", FULL, SLIDING),
    Rule({"global_attn_every_n_layers": 1}, _every_nth_is_full),
    Rule(
        {"max_window_layers": 0},
        lambda c, i: SLIDING if c.get("use_sliding_window") and i >= _number(c, "max_window_layers") else FULL,
    ),
)
MLP_TYPE_RULES = (
    _first("first_k_dense_replace", DENSE, SPARSE),
    _first("dense_mlp_idx", DENSE, SPARSE),
    _first("num_hash_layers", "hash_moe", "moe"),
)
MOE_LAYER_RULES = (Rule({"interleave_moe_layer_step": 1}, lambda c, i: _ends(c, "interleave_moe_layer_step", i)),)
ROPE_RULES = (_period("no_rope_layer_interval", 0, 1),)

RULES = (
    Rule({"decoder_sparse_step": 1}, _is_sparse),
    Rule({"attn_layer_period": 1, "attn_layer_offset": 0}, lambda c, i: _is_at(c, "attn", i)),
    Rule({"expert_layer_period": 1, "expert_layer_offset": 0}, lambda c, i: _is_at(c, "expert", i)),
    Rule({"moe_layer_interval": 1, "moe_layer_start_index": 0, "moe_layer_end_index": 0}, _is_ernie_sparse),
    Rule({"aligner_num_add_layers": 1}, _has_aligner),
    _first("num_dense_layers", DENSE, SPARSE),
)
"""Arithmetic for which there is no list."""
