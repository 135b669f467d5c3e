from __future__ import annotations

import pytest

from suture.checkpoint.inspection.groups import group_of, part_of, pattern_of


@pytest.mark.parametrize(
    ("rest", "group"),
    [
        ("self_attn.q_proj.weight", "attention"),
        ("self_attn.gate_proj.weight", "attention"),
        ("self_attn.q_norm.weight", "norm"),
        ("linear_attn.A_log", "attention"),
        ("linear_attn.norm.weight", "norm"),
        ("attn.c_attn.bias", "attention"),
        ("self_attention.dense.weight", "attention"),
        ("mamba.in_proj.weight", "attention"),
        ("mixer.A_log", "attention"),
        ("mixer.q_proj.weight", "attention"),
        ("mixer.up_proj.weight", "mlp"),
        ("mixer.experts.7.down_proj.weight", "mlp"),
        ("mlp.experts.3.w1.weight", "mlp"),
        ("block_sparse_moe.gate.weight", "mlp"),
        ("feed_forward.router.weight", "mlp"),
        ("fc1.weight", "mlp"),
        ("input_layernorm.weight", "norm"),
        ("ln_1.weight", "norm"),
        ("norm_attn_norm.norm_2.weight", "norm"),
        ("layer_scalar", "other"),
    ],
)
def test_group_of(rest: str, group: str) -> None:
    assert group_of(rest) == group


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("model.embed_tokens.weight", "text"),
        ("lm_head.weight", "text"),
        ("model.visual.blocks.0.attn.qkv.weight", "vision"),
        ("vision_tower.patch_embed.weight", "vision"),
        ("mtp.layers.0.mlp.up_proj.weight", "mtp"),
        ("audio_tower.conv1.weight", "audio"),
    ],
)
def test_part_of(name: str, part: str) -> None:
    assert part_of(name) == part


def test_pattern_of_leaves_numbers_within_words() -> None:
    assert pattern_of("mlp.experts.12.w1.weight") == "mlp.experts.*.w1.weight"
    assert pattern_of("0.conv1d.3") == "*.conv1d.*"
