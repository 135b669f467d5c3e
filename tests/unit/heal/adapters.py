"""Tiny models with random weights, adapters for them made by PEFT, and what PEFT makes of the two."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PreTrainedModel, Qwen2Config

from suture.checkpoint.floats import to_float32
from suture.checkpoint.reader import open_checkpoint, read_chunks
from suture.heal.fusing.fuse import FuseSpec, fuse
from suture.progress import Silent
from tests.unit.heal.steps_by_hand import as_artifact, make_workspace

Tensors = dict[str, np.ndarray]

WIDTH, VOCABULARY = 32, 48
_COMMON = {"vocab_size": VOCABULARY, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
_LLAMA = _COMMON | {
    "hidden_size": WIDTH,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}

MODELS: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaConfig(**_LLAMA, tie_word_embeddings=False),
    "tied llama": lambda: LlamaConfig(**_LLAMA, tie_word_embeddings=True),
    "qwen2": lambda: Qwen2Config(**_LLAMA, tie_word_embeddings=False),  # q, k and v have biases
    "gpt2": lambda: GPT2Config(**_COMMON, n_embd=WIDTH, n_layer=2, n_head=4, n_positions=64),  # Conv1D
}


def make_model(folder: Path, kind: str) -> Path:
    """Write a model with random weights in fp32, its biases too."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(MODELS[kind](), dtype=torch.float32)
    _randomize(model, "bias")
    model.save_pretrained(folder)
    return folder


def make_adapter(folder: Path, model: Path, **settings: Any) -> Path:
    """Write a LoRA adapter as PEFT saves it, with no number of it at rest."""
    usual = {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "down_proj"], "task_type": "CAUSAL_LM"}
    settings = copy.deepcopy(usual | settings)  # PEFT changes the lists that it is given
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT's advice on tied weights, and on Conv1D
        wrapped = get_peft_model(load(model), LoraConfig(**settings))
        torch.manual_seed(1)
        with torch.no_grad():
            for _, parameter in sorted(wrapped.named_parameters()):
                if parameter.requires_grad:
                    parameter.mul_(1 + 0.2 * torch.rand_like(parameter)).add_(0.1 * torch.randn_like(parameter))
        wrapped.save_pretrained(folder)
    return folder


def merged_by_peft(model: Path, adapter: Path) -> Tensors:
    """Return the tensors after merge_and_unload(), in fp32."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        merged = PeftModel.from_pretrained(load(model), adapter).merge_and_unload()
    return {name: tensor.numpy() for name, tensor in merged.state_dict().items()}


def logits_by_peft(model: Path, adapter: Path) -> torch.Tensor:
    """Return the logits with the adapter beside the weights, as it was trained."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = PeftModel.from_pretrained(load(model), adapter)
    return logits_of(wrapped)


def logits_of(model: Any) -> torch.Tensor:
    """Return a model's logits for a few tokens."""
    with torch.no_grad():
        return model.eval()(torch.arange(1, 17).reshape(1, 16)).logits


def load(folder: Path) -> PreTrainedModel:
    """Load a model in fp32."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def fused(folder: Path, model: Path, adapter: Path) -> tuple[Path, dict[str, Any]]:
    """Run the step; return what it made, and its facts."""
    work = make_workspace(folder)
    return work.out, dict(fuse(FuseSpec(), [as_artifact(model), as_artifact(adapter)], work, Silent()))


def tensor_bytes(folder: Path) -> dict[str, bytes]:
    """Return every tensor's bytes."""
    return {name: b"".join(read_chunks(extent, 2**20)) for name, extent in open_checkpoint(folder).extents.items()}


def tensors_of(folder: Path) -> Tensors:
    """Return every tensor in fp32."""
    layout = open_checkpoint(folder).layout
    return {
        name: to_float32(data, layout.tensors[name].dtype).reshape(layout.tensors[name].shape)
        for name, data in tensor_bytes(folder).items()
    }


def change_config(adapter: Path, **settings: Any) -> Path:
    """Change settings in an adapter's config."""
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return adapter


def change_tensors(adapter: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Path:
    """Change an adapter's tensors, or their names."""
    from safetensors.torch import load_file, save_file

    path = adapter / "adapter_model.safetensors"
    tensors = change(load_file(path))
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return adapter


def _randomize(model: Any, ending: str) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(ending):
                parameter.normal_(std=0.1)
