"""A checkpoint so small that its bytes can be looked at."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save

REPO = "somebody/model"

FETCHED = {
    "LICENSE",
    "README.md",
    "chat_template.jinja",
    "config.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
}
"""Which of them are."""


TOKENIZER = json.dumps(
    {
        "version": "1.0",
        **dict.fromkeys(("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder")),
        "added_tokens": [],
        "model": {"type": "WordLevel", "vocab": {"?": 0, "a": 1}, "unk_token": "?"},
    }
).encode()
"""The smallest tokenizer that loads."""


def checkpoint_files(*, rows: int = 40_000) -> dict[str, bytes]:
    """Return a checkpoint of one layer: an embedding of `rows` x 8 fp32 in one shard, the layer in the other."""
    random = np.random.default_rng(0)
    shards = {
        "model-00001-of-00002.safetensors": {"model.embed_tokens.weight": random.normal(size=(rows, 8))},
        "model-00002-of-00002.safetensors": {"model.layers.0.mlp.up_proj.weight": random.normal(size=(16, 8))},
    }
    weight_map = {name: shard for shard, tensors in shards.items() for name in tensors}
    return {
        "config.json": json.dumps({"model_type": "llama", "num_hidden_layers": 1, "hidden_size": 8}).encode(),
        "tokenizer.json": TOKENIZER,
        "tokenizer_config.json": b"{}",
        "model.safetensors.index.json": json.dumps({"metadata": {}, "weight_map": weight_map}).encode(),
    } | {
        shard: save({name: array.astype(np.float32) for name, array in tensors.items()})
        for shard, tensors in shards.items()
    }


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files, and the folders they are in."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder
