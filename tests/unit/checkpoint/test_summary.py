from __future__ import annotations

from typing import Any

import pytest

from suture.checkpoint.inspection.summary import Summary, runs, summarize
from suture.checkpoint.layout import Layout
from suture.checkpoint.tensors import TensorInfo

FULL, LINEAR = "full_attention", "linear_attention"


def bf16(*shape: int) -> TensorInfo:
    return TensorInfo("BF16", shape)


def layer(number: int, mixer: str, prefix: str = "model.layers") -> dict[str, TensorInfo]:
    return {f"{prefix}.{number}.{mixer}.proj.weight": bf16(4, 4), f"{prefix}.{number}.mlp.weight": bf16(8, 4)}


def summary_of(tensors: dict[str, TensorInfo], **config: Any) -> Summary:
    return summarize(Layout(config, tensors, ("config.json",)), "a model")


def hybrid() -> dict[str, TensorInfo]:
    mixers = ["linear_attn", "linear_attn", "linear_attn", "self_attn"] * 2
    layers = [layer(number, mixer) for number, mixer in enumerate(mixers)]
    return {name: info for held in layers for name, info in held.items()} | {"model.norm.weight": bf16(4)}


def test_layers_are_told_apart_by_what_they_hold_and_what_the_config_says() -> None:
    types = [LINEAR, LINEAR, LINEAR, FULL] * 2
    found = summary_of(hybrid(), num_hidden_layers=8, layer_types=types, windows=[1, 0, 0, 0, 0, 0, 0, 0])
    kinds = [(kind.layers, kind.settings["layer_types"], kind.settings["windows"]) for kind in found.kinds]
    assert kinds == [((0,), LINEAR, 1), ((1, 2, 4, 5, 6), LINEAR, 0), ((3, 7), FULL, 0)]
    assert (found.kinds[0].parameters, found.kinds[0].nbytes) == (16 + 32, 2 * (16 + 32))
    assert [alike.pattern for alike in found.outside["text"]] == ["model.norm.weight"]
    assert found.misfit is None


def test_lists_that_name_layers_are_not_settings_of_each() -> None:
    found = summary_of(hybrid(), num_hidden_layers=8, mlp_only_layers=list(range(8)), eos_token_id=list(range(8)))
    assert [dict(kind.settings) for kind in found.kinds] == [{}, {}]


def test_experts_are_counted_not_listed() -> None:
    experts = {f"model.layers.0.mlp.experts.{number}.up.weight": bf16(2, 3) for number in range(5)}
    (kind,) = summary_of(experts, num_hidden_layers=1).kinds
    assert [(alike.pattern, alike.count, alike.parameters) for alike in kind.tensors] == [
        ("mlp.experts.*.up.weight", 5, 30)
    ]


def test_a_config_that_miscounts_is_told_with_the_layers_that_are_there() -> None:
    found = summary_of(hybrid(), num_hidden_layers=6)
    assert found.stack is not None
    assert (found.stack.prefix, found.stack.count) == ("model.layers", 8)
    assert found.misfit is not None
    assert sum(len(kind.layers) for kind in found.kinds) == 8


def test_no_layers_at_all() -> None:
    found = summary_of({"weight": bf16(3)}, num_hidden_layers=2)
    assert (found.stack, found.kinds) == (None, ())
    assert found.misfit is not None


def test_other_towers_and_a_layer_after_the_last_are_parts() -> None:
    tensors = hybrid() | {"model.visual.blocks.0.qkv.weight": bf16(3), "model.layers.8.eh_proj.weight": bf16(4)}
    found = summary_of(tensors, num_hidden_layers=8, num_nextn_predict_layers=1)
    assert {part: [alike.pattern for alike in held] for part, held in found.outside.items()} == {
        "mtp": ["model.layers.*.eh_proj.weight"],
        "text": ["model.norm.weight"],
        "vision": ["model.visual.blocks.*.qkv.weight"],
    }


def test_dtypes_by_bytes() -> None:
    tensors = {"model.layers.0.A_log": TensorInfo("F32", (3,)), "model.layers.0.mlp.weight": bf16(8, 4)}
    totals = summary_of(tensors, num_hidden_layers=1).dtypes
    assert [(dtype, total.tensors, total.nbytes) for dtype, total in totals.items()] == [
        ("BF16", 1, 64),
        ("F32", 1, 12),
    ]


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([0], "0"),
        ([0, 1, 2, 3], "0-3"),
        ([0, 1, 3, 4, 7], "0-1, 3-4, 7"),
        ([3, 7, 11, 15], "3, 7 ... 15 (every 4th)"),
        ([0, 2, 4, 6], "0, 2 ... 6 (every 2nd)"),
        ([0, 1, 2, 4, 5, 6, 8, 9, 12, 14, 16, 18, 30], "0-2, 4-6, 8-9, ... 30"),
    ],
)
def test_runs(numbers: list[int], text: str) -> None:
    assert runs(numbers) == text
