"""Tiny random models of any type that transformers knows: every size shrunk, layers of every kind it has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedModel

LAYERS = 4

# The first pattern that a field's whole name fits says its value.
_SIZES: list[tuple[str, int | None]] = [
    (r"layer_?norm.*|.*_norm.*|.*dropout.*|.*_std|.*_eps|initializer.*", None),
    (r"vocab_size_per_layer_input", 96),
    (r"(.*_)?vocab(ulary)?_size|.*n_positions_vocab|query_vocab_size", 96),
    (r"(encoder|decoder|num_encoder|num_decoder)_layers|num_hidden_layers|n_layers?|num_layers|num_blocks|layers", 4),
    (r"depth|vision_layers|num_hidden_groups|text_layers|resampler_depth|num_.*_layers(?<!kv_shared_layers)", 2),
    (r"(num_)?(encoder_|decoder_)?(attention_heads|heads)|(num_|n_)(attention_)?heads?|n_head|resampler_n_heads", 4),
    (r"num_(encoder|decoder)_attention_heads|num_sliding_attention_heads|index_n_heads|linear_num_heads", 4),
    (r"(num_|n_)?(key_value_heads|kv_heads)|(swa_|global_)num_key_value_heads|num_global_key_value_heads", 2),
    (r"linear_num_(key|value)_heads|num_query_groups|n_group|topk_group|mamba_n_groups|n_groups|mamba_ngroups", 2),
    (r"linear_(key|value)?_?head_dim|head_dim|d_kv|global_head_dim|index_head_dim|swa_head_dim|swa_v_head_dim", 8),
    (r"qk_nope_head_dim|qk_rope_head_dim|v_head_dim|rotary_dim|kv_channels|attention_head_dim", 8),
    (r"qk_head_dim", 16),
    (r"(q|kv|o)_lora_rank|rwkv.*rank|altup_.*rank|laurel_rank|adapter_rank|lora_rank", 8),
    (r"(num_|n_|moe_num_|num_local_|n_routed_)?(routed_)?experts|num_local_experts|moe_num_experts", 4),
    (r"num_experts_per_tok(en)?|moe_topk|moe_top_k|moe_k|top_k_experts|num_selected_experts", 2),
    (r"(n|num|moe_num)_shared_experts?", 1),
    (r"hidden_size_per_layer_input", 8),
    (
        r"(hidden_size|d_model|n_embd|n_embed|dim|embed_dim|emb_dim|embedding_size|hidden_dim|width|embed_proj_dim)",
        32,
    ),
    (
        r"(word_embed_proj_dim|lru_width|attention_hidden_size|dim_model_base|out_hidden_size|projection_dim|d_embed)",
        32,
    ),
    (r".*(intermediate_size|ffn_dim|ffn_hidden_size|inner_dim|d_ff|d_inner|dim_ff|n_inner|expert_dim)", 48),
    (r"(mamba_)?(d_state|state_size)|ssm_state_size", 8),
    (r"(mamba_)?(n_heads|num_heads|n_mamba_heads|mamba_n_heads|mamba_num_heads)", 8),
    (r"(mamba_)?(d_head|head_dim|headdim)|mamba_head_dim|mamba_headdim", 8),
    (r"mamba_d_ssm", 64),
    (r"(mamba_)?chunk_size|attention_chunk_size|index_block_size|block_size", 8),
    (r"time_step_rank|mamba_dt_rank", 4),
    (r"sliding_window(_size)?|window_size|attention_window_size|local_attn_chunk_length", 4),
    (
        r"(n_positions|n_ctx|max_position_embeddings|max_sequence_length|seq_length|max_seq_len|max_source_positions)",
        64,
    ),
    (r"(max_target_positions|context_length|original_max_position_embeddings|max_length)", 64),
    (r"image_size|img_size", 28),
    (r"patch_size", 14),
    (r"spatial_merge_size|temporal_patch_size|merge_size", 2),
    (r"(bos|cls)_token_id", 1),
    (r"(eos|sep)_token_id", 2),
    (r"pad_token_id|(unk|mask|lang)_index|pad_index", 0),
    (r".*_token_(id|index)", 3),
    (r"first_k_dense_replace|num_dense_layers|moe_layer_start_index", 1),
    (r"moe_layer_end_index", 99),
    (
        r"interleave_moe_layer_step|decoder_sparse_step|expert_layer_period|attn_layer_period|no_rope_layer_interval",
        2,
    ),
    (r"full_attention_interval|sliding_window_pattern|cross_layer_interval|moe_layer_interval|max_window_layers", 2),
    (r"expert_layer_offset|attn_layer_offset", 1),
]
_RULES = [(re.compile(pattern), value) for pattern, value in _SIZES]

FULL, SLIDING, LINEAR = "full_attention", "sliding_attention", "linear_attention"

_ROPE = {"rope_type": "default", "rope_theta": 10000.0}
_BY_TYPE = {kind: {**_ROPE, "mrope_section": [1, 1, 2]} for kind in (FULL, SLIDING)}
_SECTIONS: dict[str, Any] = {"rope_parameters": {**_ROPE, "mrope_section": [2, 1, 1]}}
_MIXED = [SLIDING, FULL, SLIDING, SLIDING]

_OVERRIDES: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1, 2]},
    "blt": {"encoder_hash_byte_group_vocab": 100},
    "chameleon": {"vocabulary_map": {"<image>": 3, "IMGIMGA": 4}},
    "cohere_compass_text": {"rope_parameters": _BY_TYPE, "layer_types": _MIXED},
    "dbrx": {"attn_config": {"rope_theta": 10000.0, "kv_n_heads": 2, "clip_qkv": 8}},
    "deepseek_ocr2_text": {"mlp_layer_types": ["dense", "sparse", "sparse", "dense"], "num_key_value_heads": 4},
    "diffusion_gemma_text": {"num_global_key_value_heads": 2, "layer_types": _MIXED},
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1},
    "ernie4_5_vl_moe_text": {"rope_parameters": {**_ROPE, "mrope_section": [1, 1, 2]}},
    "gemma3n_text": {
        "num_kv_shared_layers": 0,
        "layer_types": _MIXED,
        "activation_sparsity_pattern": [0.5, 0.0, 0.0, 0.0],
    },
    "emu3": {"vocabulary_map": {"<|extra_200|>": 3, "<image>": 4}},
    "glm5_next_text": {"qk_rope_head_dim": 0, "num_key_value_heads": 4, "index_topk": 16},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "granite4_vision": {"text_config": "granite", "spatial_target_layers": [1], "deepstack_layer_map": [(0, 0)]},
    "granitemoehybrid": {"layer_types": [LINEAR, FULL, LINEAR, LINEAR]},
    "hunyuan_v1_dense": {"head_dim": 8},
    "hunyuan_v1_moe": {"head_dim": 8},
    "hunyuan_vl_text": {"head_dim": 8},
    "lfm2": {"full_attn_idxs": [1, 3]},
    "lfm2_moe": {"layer_types": ["conv", FULL, "conv", FULL]},
    "mamba2": {"num_heads": 8},
    "ministral": {"head_dim": 8, "layer_types": _MIXED},
    "nemotron": {"num_key_value_heads": 2},
    "nemotron_h": {"layer_types": [LINEAR, "moe", FULL, "mlp"]},
    "qwen2": {"use_sliding_window": True, "sliding_window": 4},
    "qwen3": {"use_sliding_window": True, "sliding_window": 4},
    "qwen4_exp_text": {
        "indexer_budget": 8,
        "indexer_compress_ratio": 2,
        "indexer_head_dim": 8,
        "indexer_kv_heads": 1,
        "indexer_n_heads": 4,
        "layer_types": [LINEAR, "qwen_sparse_attention", LINEAR, LINEAR],
    },
    **dict.fromkeys(
        ("glm4v_text", "glm_ocr_text", "qwen2_vl_text", "qwen2_5_vl_text", "qwen2_5_omni_text"), _SECTIONS
    ),
    "reformer": {
        "axial_pos_embds_dim": [16, 16],
        "axial_pos_shape": [8, 8],
        "is_decoder": True,
        "attn_layers": ["local", "lsh", "local", "lsh"],
    },
    "zamba": {"layers_block_type": [LINEAR, LINEAR, "hybrid", LINEAR], "num_hidden_layers": 4},
    "zamba2": {"layers_block_type": [LINEAR, "hybrid", LINEAR, "hybrid"], "num_hidden_layers": 4},
    "zaya": {"num_experts_per_tok": 1},
}
"""What a type needs beside the sizes above: layers of several kinds, sizes that its defaults leave out."""


def tiny_config(model_type: str, **fields: Any) -> PreTrainedConfig:
    """Return a small config of a model type: the fields given, `_OVERRIDES`, and shrunk defaults for the rest."""
    given = _shrunk(CONFIG_MAPPING[model_type]()) | _OVERRIDES.get(model_type, {}) | fields
    if isinstance(kind := given.get("text_config"), str):
        given["text_config"] = _shrunk(CONFIG_MAPPING[kind]()) | _OVERRIDES.get(kind, {})
    given.pop("model_type", None)
    return CONFIG_MAPPING[model_type](**given)


def _shrunk(default: PreTrainedConfig) -> dict[str, Any]:
    small: dict[str, Any] = {"model_type": default.model_type}
    grouped = getattr(default, "num_key_value_heads", None) != getattr(default, "num_attention_heads", None)
    for field, value in vars(default).items():
        if isinstance(value, PreTrainedConfig):
            small[field] = _shrunk(value) | _OVERRIDES.get(value.model_type, {})
        elif field == "rope_parameters" and isinstance(value, dict) and "mrope_section" in value:
            pairs = int(8 * value.get("partial_rotary_factor", 1)) // 2
            small[field] = {**value, "mrope_section": [pairs - 2 * (pairs // 3), pairs // 3, pairs // 3]}
        elif isinstance(value, int | None) and not isinstance(value, bool):
            size = next((size for pattern, size in _RULES if pattern.fullmatch(field)), None)
            if size is not None and not (value is None and not field.endswith("token_id")):
                small[field] = size if grouped or field != "num_key_value_heads" else small["num_attention_heads"]
    return small


def write_model(folder: Path, config: PreTrainedConfig, architecture: str, seed: int) -> None:
    """Save a model of random weights, each tensor unlike every other, in bf16."""
    torch.manual_seed(seed)
    model: PreTrainedModel = getattr(transformers, architecture)(text_only(config, architecture))
    if model.num_parameters() > 60_000_000:
        raise ValueError(f"{model.num_parameters()} parameters are not tiny")
    with torch.no_grad():
        for parameter in model.parameters():  # norms begin alike in all layers: make every layer its own
            parameter.copy_(torch.randn_like(parameter) * 0.2)
    model.bfloat16().save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (folder / file).write_text("{}")


def text_only(config: PreTrainedConfig, architecture: str) -> PreTrainedConfig:
    """Return the config that a class takes: the language model's part, for a class without towers."""
    is_wrapper = "text_config" in getattr(config, "sub_configs", {}) and architecture != "FuyuForCausalLM"
    return config.get_text_config() if is_wrapper and architecture.endswith("ForCausalLM") else config


def load_model(folder: Path, architecture: str) -> tuple[PreTrainedModel, list[str]]:
    """Load a model, its numbers as fp32; return it with the keys that are missing, unexpected or mismatched."""
    model, info = getattr(transformers, architecture).from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True, attn_implementation="eager"
    )
    kinds = ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")
    return model.eval(), [f"{kind}: {key}" for kind in kinds for key in info.get(kind) or []]


def containers(model: nn.Module, layers: int) -> set[str]:
    """Return the paths of the lists of this many modules."""
    return {name for name, part in model.named_modules() if isinstance(part, nn.ModuleList) and len(part) == layers}
