from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

CONFIG = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 4}


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    """A pico model's tensors: two layers, three dtypes, one empty, in no particular order."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return {
        "model.layers.1.mlp.weight": draw(3, 5).bfloat16(),
        "model.embed_tokens.weight": draw(7, 4).bfloat16(),
        "model.layers.0.mlp.weight": draw(3, 5).bfloat16(),
        "model.layers.0.A_log": draw(3),
        "model.layers.1.A_log": draw(3),
        "model.norm.weight": draw(4).half(),
        "model.empty": torch.zeros(0, 4, dtype=torch.bfloat16),
    }


@pytest.fixture
def folder(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    """The pico model as the safetensors library writes it: two shards and an index."""
    path = tmp_path / "checkpoint"
    path.mkdir()
    names = list(tensors)
    shards = {"model-00001-of-00002.safetensors": names[:4], "model-00002-of-00002.safetensors": names[4:]}
    for file, held in shards.items():
        save_file({name: tensors[name] for name in held}, path / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, held in shards.items() for name in held}}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    (path / "config.json").write_text(json.dumps(CONFIG))
    (path / "tokenizer.json").write_text("{}")
    (path / "tokenizer_config.json").write_text("{}")
    return path


@pytest.fixture
def raw_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a safetensors file from a header (text or object) and data, right or wrong."""

    def write(header: object, data: bytes = b"") -> Path:
        text = header.encode() if isinstance(header, str) else json.dumps(header).encode()
        path = tmp_path / "raw.safetensors"
        path.write_bytes(struct.pack("<Q", len(text)) + text + data)
        return path

    return write
