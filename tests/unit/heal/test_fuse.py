"""Fusing: the numbers of PEFT's own merge, in fp32 and rounded once; every tensor used, nothing else touched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from suture.checkpoint.floats import to_float32
from suture.checkpoint.reader import open_checkpoint
from suture.checkpoint.writer import OutputTensor, write_checkpoint
from suture.errors import CheckpointError
from suture.progress import Silent
from tests.unit.heal import adapters
from tests.unit.heal.adapters import change_config, change_tensors, fused, make_adapter, make_model, tensor_bytes

RANK, ALPHA = 4, 8.0
TARGETS = ("q_proj", "v_proj", "down_proj")
Factors = dict[str, np.ndarray]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a tiny model of a kind, once."""
    folder = tmp_path_factory.mktemp("models")
    return lambda kind: folder / kind if (folder / kind).exists() else make_model(folder / kind, kind)


def write_adapter(folder: Path, factors: Factors) -> Path:
    from safetensors.numpy import save_file

    folder.mkdir()
    save_file(factors, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": RANK,
        "lora_alpha": ALPHA,
        "target_modules": list(TARGETS),
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def factors_for(model: Path, size: float = 0.05) -> Factors:
    random = np.random.default_rng(1)
    factors: Factors = {}
    for name, info in open_checkpoint(model).layout.tensors.items():
        module = name.removesuffix(".weight")
        if module.endswith(TARGETS):
            rows, columns = info.shape
            a, b = random.standard_normal((RANK, columns)), size * random.standard_normal((rows, RANK))
            factors[f"base_model.model.{module}.lora_A.weight"] = a.astype(np.float32)
            factors[f"base_model.model.{module}.lora_B.weight"] = b.astype(np.float32)
    return factors


# -- every kind of adapter, against PEFT --------------------------------------------------------------------------

EXPERTS = ["q_proj", "v_proj", "down_proj", "up_proj"]
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("llama", {}),
    "all linear layers": ("llama", {"target_modules": "all-linear"}),
    "rank-stabilised": ("llama", {"use_rslora": True}),
    "patterns": (
        "llama",
        {
            "target_modules": EXPERTS,
            "rank_pattern": {"q_proj": 2, "layers.1.mlp.down_proj": 8},
            "alpha_pattern": {"^model.layers.0.self_attn.q_proj": 3, r"layers\.\d+\.self_attn\.(q|v)_proj": 16},
        },
    ),
    "some layers": ("llama", {"layers_to_transform": [1]}),
    "DoRA": ("llama", {"use_dora": True, "target_modules": EXPERTS}),
    "rank-stabilised DoRA": ("llama", {"use_dora": True, "use_rslora": True}),
    "embedding": ("llama", {"target_modules": ["embed_tokens", "q_proj"]}),
    "DoRA of the embedding": ("llama", {"target_modules": ["embed_tokens", "q_proj"], "use_dora": True}),
    "head": ("llama", {"target_modules": ["lm_head", "q_proj"]}),
    "whole embedding, head and norms": ("llama", {"modules_to_save": ["embed_tokens", "lm_head", "input_layernorm"]}),
    "bias of LoRA": ("qwen2", {"target_modules": ["q_proj", "v_proj"], "lora_bias": True}),
    "all biases": ("qwen2", {"bias": "all"}),
    "biases of its layers": ("qwen2", {"bias": "lora_only"}),
    "Conv1D": ("gpt2", {"target_modules": ["c_attn", "c_proj", "c_fc"], "fan_in_fan_out": True}),
    "square Conv1D, not told": ("gpt2", {"target_modules": ["attn.c_proj"]}),
    "DoRA of Conv1D": ("gpt2", {"target_modules": ["c_attn", "c_proj"], "use_dora": True, "fan_in_fan_out": True}),
    "all biases of Conv1D": ("gpt2", {"target_modules": ["c_attn"], "bias": "all", "fan_in_fan_out": True}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_fp32_numbers_are_those_of_peft(tmp_path: Path, model: Callable[[str], Path], kind: str) -> None:
    source, settings = KINDS[kind]
    adapter = make_adapter(tmp_path / "adapter", model(source), **settings)
    out, facts = fused(tmp_path / "work", model(source), adapter)
    merged = adapters.merged_by_peft(model(source), adapter)
    ours, before = adapters.tensors_of(out), adapters.tensors_of(model(source))
    assert ours.keys() == before.keys()
    changed = 0
    for name, tensor in ours.items():
        is_same = np.array_equal(merged[name], before[name])
        changed += not is_same
        np.testing.assert_allclose(tensor, merged[name], rtol=0 if is_same else 1e-5, atol=0 if is_same else 1e-6)
    assert facts["tensors_changed"] == changed > 0
    assert facts["share_survived"] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("settings", "is_tied"),
    [
        ({"target_modules": ["embed_tokens", "q_proj"]}, False),
        ({"target_modules": ["lm_head", "q_proj"]}, False),
        ({"target_modules": ["embed_tokens", "lm_head"], "use_dora": True}, False),
        ({"modules_to_save": ["embed_tokens"]}, False),
        ({"modules_to_save": ["lm_head", "embed_tokens"]}, False),
        ({"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True}, True),
        ({"target_modules": ["embed_tokens", "q_proj"], "ensure_weight_tying": True}, True),
        ({"modules_to_save": ["lm_head"], "ensure_weight_tying": True}, True),
        ({"modules_to_save": ["norm"]}, True),
    ],
)
def test_tied_weights_do_what_the_adapter_was_trained_to_do(
    tmp_path: Path, model: Callable[[str], Path], settings: dict[str, Any], is_tied: bool
) -> None:
    adapter = make_adapter(tmp_path / "adapter", model("tied llama"), **settings)
    out, _ = fused(tmp_path / "work", model("tied llama"), adapter)
    trained = adapters.logits_by_peft(model("tied llama"), adapter)
    torch.testing.assert_close(adapters.logits_of(adapters.load(out)), trained, rtol=1e-4, atol=1e-5)
    config = json.loads((out / "config.json").read_text())
    assert config["tie_word_embeddings"] is is_tied
    assert ("lm_head.weight" in tensor_bytes(out)) is not is_tied


def test_names_that_hold_the_adapters_own_name_are_read(tmp_path: Path, model: Callable[[str], Path]) -> None:
    adapter = make_adapter(
        tmp_path / "adapter", model("llama"), use_dora=True, target_modules=["embed_tokens", "q_proj"]
    )
    plain, _ = fused(tmp_path / "plain", model("llama"), adapter)
    change_tensors(
        adapter,
        lambda tensors: {
            name.replace(".weight", ".default.weight") if "lora_A" in name or "lora_B" in name
            else f"{name}.default" if "lora_" in name
            else name: tensor
            for name, tensor in tensors.items()
        },
    )  # fmt: skip
    named, _ = fused(tmp_path / "named", model("llama"), adapter)
    assert tensor_bytes(named) == tensor_bytes(plain)


def test_an_adapter_in_bf16_is_fused_in_fp32(tmp_path: Path, model: Callable[[str], Path]) -> None:
    adapter = make_adapter(tmp_path / "adapter", model("llama"))
    change_tensors(adapter, lambda tensors: {name: tensor.bfloat16() for name, tensor in tensors.items()})
    out, _ = fused(tmp_path / "work", model("llama"), adapter)
    change_tensors(adapter, lambda tensors: {name: tensor.float() for name, tensor in tensors.items()})
    exact, _ = fused(tmp_path / "exact", model("llama"), adapter)
    assert tensor_bytes(out) == tensor_bytes(exact)


def test_a_whole_tensor_takes_the_checkpoints_dtype(tmp_path: Path, pico: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter", factors_for(pico))
    norm = torch.linspace(0.5, 1.5, 64)
    change_tensors(adapter, lambda tensors: {**tensors, "base_model.model.model.norm.weight": norm})
    out, facts = fused(tmp_path / "work", pico, adapter)
    assert tensor_bytes(out)["model.norm.weight"] == norm.bfloat16().view(torch.int16).numpy().tobytes()
    assert facts["tensors_changed"] == 10


# -- the bytes ----------------------------------------------------------------------------------------------------


def test_bytes_are_those_of_peft_in_fp32_cast_once(tmp_path: Path, pico: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter", factors_for(pico))
    out, facts = fused(tmp_path / "work", pico, adapter)
    merged = adapters.merged_by_peft(pico, adapter)
    written, before = tensor_bytes(out), tensor_bytes(pico)
    in_bf16 = {name: torch.from_numpy(merged[name]).bfloat16().view(torch.int16) for name in written}
    assert {name: tensor.numpy().tobytes() for name, tensor in in_bf16.items()} == written
    changed = {name for name in written if written[name] != before[name]}
    assert changed == {name for name in written if name.removesuffix(".weight").endswith(TARGETS)}
    assert facts["tensors_changed"] == len(changed) == 9
    assert facts["tensors_copied"] == len(written) - 9
    assert facts["bytes"] == sum(map(len, written.values()))


@pytest.mark.parametrize("kind", ["plain", "DoRA", "DoRA of the embedding", "whole embedding, head and norms"])
def test_chunks_of_rows_give_the_same_numbers(
    tmp_path: Path, model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    source, settings = KINDS[kind]
    adapter = make_adapter(tmp_path / "adapter", model(source), **settings)
    whole, _ = fused(tmp_path / "whole", model(source), adapter)
    monkeypatch.setattr("suture.heal.fusing.update._CHUNK_ELEMENTS", 32 * 5)  # 5 rows of q_proj, 4 of down_proj
    parts, _ = fused(tmp_path / "parts", model(source), adapter)
    expected = adapters.tensors_of(whole)
    for name, tensor in adapters.tensors_of(parts).items():
        np.testing.assert_allclose(tensor, expected[name], rtol=1e-6, atol=1e-7)


def test_survival_is_what_a_plain_sum_over_all_tensors_gives(tmp_path: Path, pico: Path) -> None:
    factors = factors_for(pico, size=1e-4)
    out, facts = fused(tmp_path / "work", pico, write_adapter(tmp_path / "adapter", factors))
    before, after = tensor_bytes(pico), tensor_bytes(out)
    weights = wanted = kept = 0.0
    for name in factors:
        if "lora_A" in name:
            a, b = factors[name].astype(np.float64), factors[name.replace("lora_A", "lora_B")].astype(np.float64)
            delta = (ALPHA / RANK * b @ a).reshape(-1)
            tensor = name.removeprefix("base_model.model.").replace("lora_A.", "")
            old, new = (to_float32(data[tensor], "BF16").astype(np.float64) for data in (before, after))
            weights, wanted, kept = weights + old @ old, wanted + delta @ delta, kept + delta @ (new - old)
    assert facts["relative_delta"] == pytest.approx((wanted / weights) ** 0.5, rel=1e-4)
    assert facts["share_survived"] == pytest.approx(kept / wanted, rel=1e-4)
    assert 0 < facts["share_survived"] < 1


def test_companions_come_along(tmp_path: Path, pico: Path) -> None:
    out, _ = fused(tmp_path / "work", pico, write_adapter(tmp_path / "adapter", factors_for(pico)))
    assert {path.name for path in out.iterdir()} == {path.name for path in pico.iterdir()}
    assert (out / "tokenizer.json").read_bytes() == (pico / "tokenizer.json").read_bytes()
    assert json.loads((out / "config.json").read_text()) == json.loads((pico / "config.json").read_text())


@pytest.mark.parametrize("size", [0.0, 1e-12])
def test_an_adapter_that_changes_nothing_is_refused(tmp_path: Path, pico: Path, size: float) -> None:
    adapter = write_adapter(tmp_path / "adapter", factors_for(pico, size))
    with pytest.raises(CheckpointError, match="changes nothing"):
        fused(tmp_path / "work", pico, adapter)


def test_a_config_that_states_another_scale_gives_another_model(tmp_path: Path, pico: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter", factors_for(pico))
    once, _ = fused(tmp_path / "once", pico, adapter)
    twice, _ = fused(tmp_path / "twice", pico, change_config(adapter, lora_alpha=2 * ALPHA))
    assert tensor_bytes(once) != tensor_bytes(twice)


def test_shards_of_a_larger_checkpoint_are_read(tmp_path: Path, pico: Path) -> None:
    adapter = write_adapter(tmp_path / "adapter", factors_for(pico))
    whole, _ = fused(tmp_path / "whole", pico, adapter)
    folder = shutil.copytree(pico, tmp_path / "sharded", ignore=shutil.ignore_patterns("model.safetensors"))
    source = open_checkpoint(pico)
    tensors = [
        OutputTensor(name, info.dtype, info.shape, source.extents[name])
        for name, info in source.layout.tensors.items()
    ]
    assert len(write_checkpoint(folder, tensors, 50_000, Silent())) > 3
    out, _ = fused(tmp_path / "from-shards", folder, adapter)
    assert tensor_bytes(out) == tensor_bytes(whole)
