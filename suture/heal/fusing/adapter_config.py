"""What an adapter's config says of the arithmetic; whatever asks for more than that is refused by name.

    scale = alpha / r            LoRA, 2106.09685, section 4.1
    scale = alpha / sqrt(r)      rank-stabilised LoRA, 2312.03732, theorem 3.2: `use_rslora`

Settings that this module does not know are refused unless they are off: a setting that is passed over makes a model
that nobody trained.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from suture.errors import CheckpointError, SourceError

_FUSE_WITH_PEFT = (
    "Load it with PEFT, fuse it there with merge_and_unload() if PEFT can, save the model with its tokenizer, and "
    "name that folder as the source's model."
)

_HEEDED = frozenset(
    {"r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "use_dora", "ensure_weight_tying"}
)
"""What the arithmetic here depends on."""

_TOLD_BY_THE_TENSORS = frozenset(
    {
        "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "modules_to_save", "bias",
        "lora_bias", "fan_in_fan_out",
    }
)  # fmt: skip
"""Which tensors are changed, and which way round they lie: seen in the file itself."""

_FOR_TRAINING = frozenset(
    {
        "auto_mapping", "base_model_name_or_path", "inference_mode", "lora_dropout", "megatron_core", "peft_type",
        "peft_version", "qalora_group_size", "revision", "runtime_config", "task_type", "init_lora_weights",
        "loftq_config", "eva_config", "corda_config", "lora_ga_config",
    }
)  # fmt: skip
"""Without effect on a trained adapter, or looked at below."""

_INNOCENT_STARTS = (None, True, False, "gaussian", "eva", "orthogonal")
"""Ways to start a training that leave the model's own weights alone; PiSSA, OLoRA, CorDA, LoftQ and others do not."""

_LANGUAGE_MODELS = (None, "CAUSAL_LM", "SEQ_2_SEQ_LM", "FEATURE_EXTRACTION")

_REPEATED_GROUP = re.compile(r"\)[*+?{]")
_REPETITION = re.compile(r"[*+{]")
_MOST_REPETITIONS = 3
"""In a pattern that a stranger wrote: with more, or with a repeated group, matching can take for ever."""


def check_adapter_config(config: Mapping[str, JsonValue], where: str | Path) -> None:
    """Refuse an adapter that is more than LoRA, rank-stabilised LoRA or DoRA.

    Args:
        config: Content of adapter_config.json.
        where: What errors call it.

    Raises:
        SourceError: Naming the setting.
    """
    if config.get("peft_type") != "LORA":
        raise _beyond("peft_type", config.get("peft_type"), "LORA", where)
    if config.get("task_type") not in _LANGUAGE_MODELS:
        raise _beyond("task_type", config.get("task_type"), "an adapter of a language model: CAUSAL_LM", where)
    start = config.get("init_lora_weights")
    if not isinstance(start, bool | str | None) or start not in _INNOCENT_STARTS:
        raise SourceError(
            "The adapter belongs to weights that its training changed at the start.",
            where=where,
            expected=f"init_lora_weights: one of {', '.join(map(str, _INNOCENT_STARTS))}",
            found=f"init_lora_weights: {start}",
            way_out="Save it as a plain LoRA adapter: save_pretrained(path_initial_model_for_weight_conversion=...). "
            + _FUSE_WITH_PEFT,
        )
    known = _HEEDED | _TOLD_BY_THE_TENSORS | _FOR_TRAINING
    for setting, value in sorted(config.items()):
        if value and setting not in known:
            raise _beyond(setting, value, "this setting absent or off", where)


def scale_of(config: Mapping[str, JsonValue], module: str, rank: int, where: str | Path) -> float:
    """Return what `B A` is multiplied by.

    Args:
        config: Content of adapter_config.json.
        module: The layer's name in the class that was trained.
        rank: Rank of the layer's factors.
        where: What errors call the config.

    Raises:
        CheckpointError: When a number is missing, or the config states another rank.
        SourceError: When a pattern is too intricate to be tried.
    """
    stated = _setting_of(config, "rank_pattern", "r", module, where)
    if stated != rank:
        raise CheckpointError(
            "The adapter's tensors have another rank than its config says.",
            where=f"{where}: {module}",
            expected=f"rank {stated:g}",
            found=rank,
        )
    alpha = _setting_of(config, "alpha_pattern", "lora_alpha", module, where)
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _setting_of(config: Mapping[str, JsonValue], patterns: str, usual: str, module: str, where: str | Path) -> float:
    """Return a layer's number: of the first pattern that its name's end matches, as in PEFT, or the usual one."""
    table = config.get(patterns) or {}
    if not isinstance(table, dict):
        raise _malformed(patterns, table, "an object", where)
    key, value = usual, config.get(usual)
    for pattern, number in table.items():
        if _matches(pattern, module, where):
            key, value = f"{patterns}: {pattern}", number
            break
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _malformed(key, value, "a number", where)
    return float(value)


def _matches(pattern: str, module: str, where: str | Path) -> bool:
    if _REPEATED_GROUP.search(pattern) or len(_REPETITION.findall(pattern)) > _MOST_REPETITIONS:
        raise SourceError(
            "A pattern in the adapter's config is too intricate to be tried.",
            where=where,
            expected=f"no repeated group, and at most {_MOST_REPETITIONS} repetitions",
            found=pattern,
            way_out="Write the layers' names out in a local copy's adapter_config.json.",
        )
    try:
        return re.match(rf"(.*\.)?({pattern})$", module) is not None
    except re.error as error:
        raise _malformed("rank_pattern or alpha_pattern", pattern, f"a pattern ({error})", where) from error


def _beyond(setting: str, value: JsonValue, expected: str, where: str | Path) -> SourceError:
    return SourceError(
        f"The adapter is of a kind that cannot be fused here: it has {setting}.",
        where=where,
        expected=expected,
        found=f"{setting}: {value}",
        way_out=_FUSE_WITH_PEFT,
    )


def _malformed(key: str, value: JsonValue, expected: str, where: str | Path) -> CheckpointError:
    return CheckpointError(
        "The adapter's config is malformed.", where=where, expected=f"{key}: {expected}", found=value
    )
