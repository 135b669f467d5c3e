"""What a config says of each layer: in lists, in texts, by numbers, or by arithmetic.

A subject, such as the kind of attention, may be stated layer by layer (`layer_types`) or follow from a rule
(`full_attention_interval`); where neither is there, from what the model's class takes for granted.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from suture.checkpoint.config.forms import (
    CYCLE,
    INDEX_TEXT,
    INDICES,
    INDICES_FROM_ONE,
    LIST,
    NUMBERED,
    RUNS,
    TEXT,
    Entries,
    Form,
)
from suture.checkpoint.config.granted import GRANTED
from suture.checkpoint.config.rules import (
    LAYER_TYPE_RULES,
    MLP_TYPE_RULES,
    MOE_LAYER_RULES,
    ROPE_RULES,
    RULES,
    Config,
    Rule,
)
from suture.checkpoint.layers import COUNT_KEYS, layer_count, prediction_layers


@dataclass(frozen=True)
class Subject:
    """Something that a config says of each layer.

    Attributes:
        field: The field that states it layer by layer; a dot leads into a nested object.
        form: How that field is written.
        rules: What it follows from where the field is not there.
        types: The model types whose class reads the field where it was not there before; None: all of them.
    """

    field: str
    form: Form = LIST
    rules: tuple[Rule, ...] = ()
    types: tuple[str, ...] | None = None

    def stated(self, section: Config) -> JsonValue:
        """Return the field's value, None if it is not there, or empty where that stands for a default."""
        value = get(section, self.field)
        return None if self.form is LIST and value == [] else value

    def entries(self, section: Config, count: int) -> Entries | None:
        """Return what a config says of each layer; None if it says nothing, or not of each."""
        value = self.stated(section)
        if value is not None:
            return self.form.read(self._without_predictions(section, value, count), count)
        for rule in self.rules:
            if rule.applies(section):
                return rule.entries(section, count)
        return self._taken_for_granted(section, count)

    def value(self, section: Config, entries: Entries) -> JsonValue:
        """Return what the field becomes: as it was if it fits, else the entries."""
        old = self.stated(section)
        if old is not None and self.form.read(old, len(entries)) == entries:
            return old
        new = self.form.write(entries)
        if isinstance(old, list) and isinstance(new, list) and self.form is LIST:
            new += old[layer_count(section) :]  # entries of layers for multi-token prediction
        return new

    def _without_predictions(self, section: Config, value: JsonValue, count: int) -> JsonValue:
        beyond = prediction_layers(section)
        is_longer = self.form is LIST and isinstance(value, list) and len(value) == count + beyond
        return value[:count] if is_longer and isinstance(value, list) else value

    def _taken_for_granted(self, section: Config, count: int) -> Entries | None:
        granted = GRANTED.get(str(section.get("model_type")), {}).get(self.field)
        if granted is None:
            return None
        first, cycle = granted
        return [first[place] if place < len(first) else cycle[place % len(cycle)] for place in range(count)]


def get(section: Config, field: str) -> JsonValue:
    """Return the value of a field, or of one in a nested object: `linear_attn_config.kda_layers`."""
    *above, last = field.split(".")
    for key in above:
        nested = section.get(key)
        section = nested if isinstance(nested, dict) else {}
    return section.get(last)


_READ_LAYER_TYPES = (
    *("afmoe", "cohere2", "cohere2_moe", "cwm", "dots1", "exaone4", "exaone_moe", "gemma2", "gemma3_text"),
    *("gpt_oss", "granite_swa", "granitemoe_swa", "minimax", "modernbert-decoder", "muse_glimmer_text"),
    *("olmo3", "olmo_hybrid", "qwen2", "qwen2_5_omni_text", "qwen2_5_vl", "qwen2_5_vl_text", "qwen2_moe"),
    *("qwen2_vl", "qwen2_vl_text", "qwen3", "qwen3_5_moe_text", "qwen3_5_text", "qwen3_next", "vaultgemma"),
)
_READ_MLP_TYPES = (
    *("axk2", "cohere2_moe", "deepseek_v32", "deepseek_v4", "ernie4_5_vl_moe_text", "exaone_moe"),
    *("glm4_moe_lite", "glm5_next_text", "glm_moe_dsa", "hy_v3", "hy_v4", "inkling_text", "kimi_linear"),
    *("laguna", "mellum", "mimo_v2_flash", "minimax_m3_vl_text", "step3p5"),
)

SUBJECTS = (
    Subject("layer_types", LIST, LAYER_TYPE_RULES, _READ_LAYER_TYPES),
    Subject("mlp_layer_types", LIST, MLP_TYPE_RULES, _READ_MLP_TYPES),
    Subject("layers_block_type"),
    Subject("no_rope_layers", LIST, ROPE_RULES, ("llama4_text", "smollm3")),
    Subject("indexer_types"),
    Subject("moe_layers", INDICES, MOE_LAYER_RULES, ("llama4_text",)),
    Subject("mlp_only_layers", INDICES),
    Subject("attn_layer_indices", INDICES),
    Subject("full_attn_idxs", INDICES),
    Subject("cross_attention_layers", INDICES),
    Subject("global_attn_idxs", INDICES),
    Subject("local_layer_ids", INDICES),
    Subject("linear_attn_config.full_attn_layers", INDICES_FROM_ONE),
    Subject("linear_attn_config.kda_layers", INDICES_FROM_ONE),
    Subject("moe_layers_enum", INDEX_TEXT),
    Subject("hybrid_override_pattern", TEXT),
    Subject("block_types", CYCLE),
    Subject("attention_types", RUNS),
    Subject("per_layer_config", NUMBERED),
)
"""What configs state layer by layer, under a name that is known; other lists are told by their length."""

_NEVER_PER_LAYER = re.compile(
    r"architectures|.*_?token(_id|_ids|_index)?s?|time_step_limit|.*_multipliers|.*_size|.*_shape|.*_dim|.*_cycles|"
    r".*_std|.*_mean|.*_pinpoints|.*_args|languages|.*_exceptions|.*dilation|.*kernel|.*stride|mtp_.*|.*_ids"
)
"""Lists whose length may equal the number of layers by chance, in small models."""

_PER_LAYER = re.compile(r".*(layer|block|types|pattern|freq|limits|_per_|theta|intermediate_size|num_|top_?k).*")
"""Lists that are per layer, by their name, if they are as long."""


def subjects(section: Config) -> Iterator[Subject]:
    """Yield what a config may say of each layer: what is known by name, and other lists with an entry per layer."""
    yield from SUBJECTS
    known = {subject.field for subject in SUBJECTS}
    count = layer_count(section)
    for key, value in section.items():
        if isinstance(value, dict) and "model_type" not in value:
            nested = {f"{key}.{inner}": entries for inner, entries in value.items()}
        else:
            nested = {key: value}
        for field, entries in nested.items():
            if field not in known and isinstance(entries, list) and len(entries) == count and _is_per_layer(field):
                yield Subject(field)


def layer_facts(section: Config) -> list[list[int]]:
    """Return the layers in groups: those of which a config says the same."""
    count = layer_count(section)
    said = [subject.entries(section, count) for subject in subjects(section)]
    said += [rule.entries(section, count) for rule in RULES if rule.applies(section)]
    groups: dict[str, list[int]] = defaultdict(list)
    for layer in range(count):
        groups[repr([entries[layer] for entries in said if entries is not None])].append(layer)
    return list(groups.values())


def unclear_lists(section: Config) -> list[str]:
    """Return the fields that may have an entry per layer, or be as long by chance: their names do not tell."""
    count, known = layer_count(section), {subject.field for subject in subjects(section)}
    as_long = [key for key, value in section.items() if isinstance(value, list) and len(value) == count > 1]
    return [key for key in as_long if key not in known and not _NEVER_PER_LAYER.fullmatch(key)]


def _is_per_layer(field: str) -> bool:
    name = field.rpartition(".")[2]
    return bool(_PER_LAYER.fullmatch(name)) and (name == "intermediate_size" or not _NEVER_PER_LAYER.fullmatch(name))


PLACE_FIELDS = frozenset(
    {
        *COUNT_KEYS,
        *(subject.field.split(".")[0] for subject in SUBJECTS),
        *(field for subject in SUBJECTS for rule in subject.rules for field in rule.fields),
        *(field for rule in RULES for field in rule.fields),
        "use_sliding_window",
    }
)
"""Everything that says which layer is of which kind."""
