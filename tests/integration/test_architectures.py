"""Stacks and means of tiny random pairs, judged on the model that transformers loads: keys alone prove little.

`benchmarks/architectures.py` does the same for every causal LM and multimodal model that transformers knows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from suture.errors import SourceError
from suture.merge.verify import StackedFrom, verify
from tests.integration.loaded_models import behaviour, differences, not_the_mean
from tests.integration.run_merge import run_merge
from tests.integration.tiny_models import FULL, LAYERS, LINEAR, SLIDING, load_model, tiny_config, write_model

Slices = list[tuple[str, int, int]]

WHOLE: Slices = [("a", 0, LAYERS), ("b", 0, LAYERS)]
OVERLAPPING: Slices = [("a", 0, LAYERS - 1), ("b", 1, LAYERS)]
BROKEN: Slices = [("a", 0, 2), ("b", 1, LAYERS), ("a", 3, 4), ("b", 3, 4)]
"""Breaks every rhythm."""


@dataclass(frozen=True)
class Pair:
    """Two models of one type, on disk and loaded."""

    architecture: str
    folders: dict[str, Path]
    models: dict[str, PreTrainedModel]


TYPES: dict[str, str] = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "mixtral": "MixtralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "qwen3_moe": "Qwen3MoeForCausalLM",
    "qwen3_next": "Qwen3NextForCausalLM",
    "qwen3_5": "Qwen3_5ForConditionalGeneration",
    "qwen3_5_text": "Qwen3_5ForCausalLM",
    "gemma2": "Gemma2ForCausalLM",
    "gemma3": "Gemma3ForConditionalGeneration",
    "gemma3_text": "Gemma3ForCausalLM",
    "phi3": "Phi3ForCausalLM",
    "olmo3": "Olmo3ForCausalLM",
    "gpt2": "GPT2LMHeadModel",
    "gpt_neo": "GPTNeoForCausalLM",
    "gpt_neox": "GPTNeoXForCausalLM",
    "falcon_h1": "FalconH1ForCausalLM",
    "deepseek_v3": "DeepseekV3ForCausalLM",
    "granitemoehybrid": "GraniteMoeHybridForCausalLM",
    "nemotron_h": "NemotronHForCausalLM",
    "smollm3": "SmolLM3ForCausalLM",
    "llama4_text": "Llama4ForCausalLM",
    "jamba": "JambaForCausalLM",
    "bart": "BartForCausalLM",
    "gemma4_unified_text": "Gemma4UnifiedForCausalLM",
    "hrm_text": "HrmTextForCausalLM",
    "minicpm3": "MiniCPM3ForCausalLM",
    "recurrent_gemma": "RecurrentGemmaForCausalLM",
    "xlm": "XLMWithLMHeadModel",
}

REFUSED: dict[tuple[str, str], str] = {
    ("deepseek_v3", "whole"): "first_k_dense_replace",  # a dense layer cannot come after sparse ones
    ("jamba", "broken"): "layer_period",
}
"""What no config can say, and what the refusal speaks of."""

NOT_RUN = frozenset({"xlm"})
"""Layers that are lists of parts, which do not run one by one."""

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module", params=TYPES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp(request.param)
    return write_pair(folder, request.param, TYPES[request.param])


def write_pair(folder: Path, kind: str, architecture: str, **fields: Any) -> Pair:
    folders = {name: folder / name for name in "ab"}
    for seed, path in enumerate(folders.values()):
        write_model(path, tiny_config(kind, **fields), architecture, seed)
    return Pair(architecture, folders, {name: load(path, architecture) for name, path in folders.items()})


def load(folder: Path, architecture: str) -> PreTrainedModel:
    model, problems = load_model(folder, architecture)
    assert problems == []
    return model


def stack(pair: Pair, slices: Slices, out: Path) -> list[tuple[str, int]]:
    parts = [{"source": source, "layers": [start, end]} for source, start, end in slices]
    run_merge({"method": "passthrough", "base": "a", "slices": parts}, pair.folders, out)
    return [(source, layer) for source, start, end in slices for layer in range(start, end)]


@pytest.mark.parametrize(("name", "slices"), [("whole", WHOLE), ("overlapping", OVERLAPPING), ("broken", BROKEN)])
def test_a_stack_is_exact_or_refused(
    pair: Pair, name: str, slices: Slices, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    kind = request.node.callspec.params["pair"]
    out = tmp_path / "stack"
    if reason := REFUSED.get((kind, name)):
        with pytest.raises(SourceError, match=reason):
            stack(pair, slices, out)
        assert list(out.iterdir()) == []
        return
    origins = stack(pair, slices, out)
    stacked = load(out, pair.architecture)
    assert differences(pair.models, "a", stacked, origins) == []
    if kind not in NOT_RUN:
        assert behaviour(pair.models, "a", stacked, origins) == []
    assert verify(out, StackedFrom(pair.folders, "a", origins)).is_exact


def test_a_mean_accounts_for_every_tensor_and_is_the_mean(pair: Pair, tmp_path: Path) -> None:
    recipe = {"method": "linear", "base": "a", "models": [{"source": "a"}, {"source": "b"}]}
    facts = run_merge(recipe, pair.folders, tmp_path / "mean")
    assert (facts["dropped"], facts["tensors_in"]) == ([], 2 * facts["tensors_out"])
    mean = load(tmp_path / "mean", pair.architecture)
    assert not_the_mean(list(pair.models.values()), mean) == []


@pytest.mark.parametrize(
    ("kind", "architecture"),
    [("qwen3_5", "Qwen3_5ForConditionalGeneration"), ("qwen3_5_text", "Qwen3_5ForCausalLM")],
)
def test_multi_token_prediction_is_carried(kind: str, architecture: str, tmp_path: Path) -> None:
    pair = write_pair(tmp_path, kind, architecture)
    added = {"mtp.layers.0.self_attn.q_proj.weight": torch.ones(4, 4), "mtp.norm.weight": torch.ones(4)}
    for folder in pair.folders.values():
        save_file(load_file(folder / "model.safetensors") | added, folder / "model.safetensors", {"format": "pt"})
        config = json.loads((folder / "config.json").read_text())
        config.get("text_config", config)["mtp_num_hidden_layers"] = 1
        (folder / "config.json").write_text(json.dumps(config))
    origins = stack(pair, OVERLAPPING, tmp_path / "stack")
    assert load_file(tmp_path / "stack/model.safetensors").keys() >= added.keys()
    config = json.loads((tmp_path / "stack/config.json").read_text())
    assert config.get("text_config", config)["mtp_num_hidden_layers"] == 1
    stacked = load(tmp_path / "stack", architecture)
    assert differences(pair.models, "a", stacked, origins) == []


def test_multi_token_prediction_stored_as_one_more_layer_stays_after_the_last(tmp_path: Path) -> None:
    pair = write_pair(tmp_path, "glm4_moe", "Glm4MoeForCausalLM", num_nextn_predict_layers=1)
    for folder in pair.folders.values():
        added = {f"model.layers.{LAYERS}.eh_proj.weight": torch.ones(4, 4)}
        save_file(load_file(folder / "model.safetensors") | added, folder / "model.safetensors", {"format": "pt"})
    origins = stack(pair, OVERLAPPING, tmp_path / "stack")
    names = load_file(tmp_path / "stack/model.safetensors").keys()
    assert [name for name in names if "eh_proj" in name] == [f"model.layers.{len(origins)}.eh_proj.weight"]
    found = verify(tmp_path / "stack", StackedFrom(pair.folders, "a", origins))
    assert (found.is_exact, len(found.ignored)) == (True, 1)


OLD_CONFIGS = [
    ("gemma2", "Gemma2ForCausalLM", {"layer_types": None}, [SLIDING, FULL, FULL, SLIDING, FULL, FULL, FULL]),
    (
        "qwen3_next",
        "Qwen3NextForCausalLM",
        {"layer_types": None, "full_attention_interval": 2},
        [LINEAR, FULL, FULL, LINEAR, FULL, FULL, FULL],
    ),
]


@pytest.mark.parametrize(("kind", "architecture", "fields", "expected"), OLD_CONFIGS)
def test_what_an_older_config_leaves_to_arithmetic_is_written_down(
    kind: str, architecture: str, fields: dict[str, Any], expected: list[str], tmp_path: Path
) -> None:
    pair = write_pair(tmp_path, kind, architecture, layer_types=[expected[0], FULL] * 2)
    for folder in pair.folders.values():
        config = json.loads((folder / "config.json").read_text()) | fields
        (folder / "config.json").write_text(
            json.dumps({key: value for key, value in config.items() if value is not None})
        )
    origins = stack(pair, BROKEN, tmp_path / "stack")
    assert json.loads((tmp_path / "stack/config.json").read_text())["layer_types"] == expected
    stacked = load(tmp_path / "stack", architecture)
    assert differences(pair.models, "a", stacked, origins) == []


IMPOSSIBLE = [
    ("rwkv", "RwkvForCausalLM", WHOLE, "made for its place"),
    ("gpt_neox_japanese", "GPTNeoXJapaneseForCausalLM", WHOLE, "made for its place"),
    ("diffllama", "DiffLlamaForCausalLM", OVERLAPPING, "depends on the layer's number"),
    ("zamba2", "Zamba2ForCausalLM", OVERLAPPING, "shared by many layers"),
    ("gemma3n_text", "Gemma3nForCausalLM", OVERLAPPING, "a part for each of them"),
    ("hy_v4", "HYV4ForCausalLM", OVERLAPPING, "share which tokens"),
]


@pytest.mark.parametrize(("kind", "architecture", "slices", "reason"), IMPOSSIBLE)
def test_what_is_tied_to_its_place_is_refused(
    kind: str, architecture: str, slices: Slices, reason: str, tmp_path: Path
) -> None:
    pair = write_pair(tmp_path, kind, architecture)
    with pytest.raises(SourceError, match=reason):
        stack(pair, slices, tmp_path / "stack")
    assert list((tmp_path / "stack").iterdir()) == []
