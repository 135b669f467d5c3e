"""Stacks judged on the model that transformers loads: keys alone prove little."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen3_5ForCausalLM,
    Qwen3_5TextConfig,
)

RunMerge = Callable[..., tuple[Path, dict[str, Any]]]
Slices = list[tuple[str, int, int]]

SMALL: dict[str, Any] = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "bos_token_id": 0,
    "eos_token_id": 1,
}


def llama() -> PreTrainedModel:
    return LlamaForCausalLM(LlamaConfig(num_hidden_layers=4, tie_word_embeddings=False, **SMALL))


def qwen3_5() -> PreTrainedModel:
    linear = {"linear_key_head_dim": 4, "linear_value_head_dim": 4}
    heads = {"linear_num_key_heads": 2, "linear_num_value_heads": 2}
    return Qwen3_5ForCausalLM(Qwen3_5TextConfig(num_hidden_layers=8, **linear, **heads, **SMALL))


@pytest.fixture
def two_models(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Path]:
    folders: dict[str, Path] = {}
    for seed, name in enumerate("ab"):
        torch.manual_seed(seed)
        model = request.param()
        for parameter in model.parameters():  # norms begin alike in both: make every layer its own
            parameter.data = torch.randn_like(parameter) * 0.2
        folders[name] = tmp_path / name
        model.bfloat16().save_pretrained(folders[name])
        for file in ("tokenizer.json", "tokenizer_config.json"):
            (folders[name] / file).write_text("{}")
    return folders


def load(folder: Path) -> PreTrainedModel:
    loaded: Any = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, dtype=torch.bfloat16)
    model, info = loaded
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]
    return model


def merge_and_load(run_merge: RunMerge, folders: dict[str, Path], slices: Slices) -> PreTrainedModel:
    parts = [{"source": source, "layers": [start, end]} for source, start, end in slices]
    recipe = {"method": "passthrough", "base": "a", "slices": parts}
    names = dict.fromkeys(["a", *(source for source, _, _ in slices)])
    out, _ = run_merge(recipe, *(folders[name] for name in names), shard_bytes=5000)
    return load(out)


def check(stacked: PreTrainedModel, sources: dict[str, PreTrainedModel], slices: Slices) -> None:
    origins = [(source, layer) for source, start, end in slices for layer in range(start, end)]
    layers = stacked.model.layers
    assert len(layers) == stacked.config.num_hidden_layers == len(origins)
    for layer, (source, number) in zip(layers, origins, strict=True):
        origin = sources[source].model.layers[number]
        ours, theirs = layer.state_dict(), origin.state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
        assert getattr(layer, "layer_type", None) == getattr(origin, "layer_type", None)
    for part in ("model.embed_tokens", "model.norm", "lm_head"):
        ours, theirs = (model.get_submodule(part).state_dict() for model in (stacked, sources["a"]))
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    with torch.no_grad():
        assert stacked(torch.arange(8)[None]).logits.isfinite().all()


LLAMA_STACKS: list[Slices] = [
    [("a", 0, 3), ("b", 1, 4)],
    [("a", 0, 4), ("b", 0, 4)],
    [("b", 2, 4), ("a", 0, 2), ("b", 2, 4)],
]


@pytest.mark.parametrize("two_models", [llama], indirect=True)
def test_llama_stacks_load_exactly(run_merge: RunMerge, two_models: dict[str, Path]) -> None:
    sources = {name: load(folder) for name, folder in two_models.items()}
    for slices in LLAMA_STACKS:
        check(merge_and_load(run_merge, two_models, slices), sources, slices)


QWEN_STACKS: list[Slices] = [
    [("a", 0, 8), ("b", 0, 8)],
    [("a", 0, 5), ("b", 2, 8)],  # breaks the rhythm of every 4th layer
    [(source, layer, layer + 1) for layer in range(8) for source in "ab"],
]


@pytest.mark.parametrize("two_models", [qwen3_5], indirect=True)
def test_qwen3_5_stacks_load_exactly_with_their_layer_types(run_merge: RunMerge, two_models: dict[str, Path]) -> None:
    sources = {name: load(folder) for name, folder in two_models.items()}
    for slices in QWEN_STACKS:
        stacked = merge_and_load(run_merge, two_models, slices)
        check(stacked, sources, slices)
        kinds = [type_ for source, start, end in slices for type_ in sources[source].config.layer_types[start:end]]
        assert stacked.config.layer_types == kinds
        assert set(kinds) == {"linear_attention", "full_attention"}


@pytest.mark.parametrize("two_models", [llama], indirect=True)
def test_a_mean_of_llamas_loads_and_is_the_mean(run_merge: RunMerge, two_models: dict[str, Path]) -> None:
    recipe = {"method": "linear", "base": "a", "models": [{"source": "a"}, {"source": "b"}]}
    out, _ = run_merge(recipe, two_models["a"], two_models["b"], shard_bytes=5000)
    a, b, mean = (load(folder).state_dict() for folder in (two_models["a"], two_models["b"], out))
    assert mean.keys() == a.keys()
    for name, tensor in mean.items():
        assert torch.equal(tensor, ((a[name].float() + b[name].float()) / 2).bfloat16()), name
    assert json.loads((out / "config.json").read_text())["num_hidden_layers"] == 4
