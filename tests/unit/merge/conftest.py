from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from suture.merge.step import MergeSpec, merge
from suture.progress import Silent
from suture.store import Artifact, Manifest, Workspace

HIDDEN = 4
TOKENIZER: dict[str, Any] = {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}, "added_tokens": []}
Tensors = dict[str, torch.Tensor]


def config(layers: int, **fields: Any) -> dict[str, Any]:
    return {"model_type": "pico", "num_hidden_layers": layers, "hidden_size": HIDDEN, **fields}


def random_tensors(layers: int, seed: int) -> Tensors:
    """A pico model: bf16 but for one fp32 tensor per layer, as Qwen3.5 has it."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    tensors = {
        "model.embed_tokens.weight": draw(7, HIDDEN).bfloat16(),
        "model.norm.weight": draw(HIDDEN).bfloat16(),
        "lm_head.weight": draw(7, HIDDEN).bfloat16(),
    }
    for layer in range(layers):
        tensors[f"model.layers.{layer}.mlp.weight"] = draw(HIDDEN, 3).bfloat16()
        tensors[f"model.layers.{layer}.A_log"] = draw(3)
    return tensors


@pytest.fixture(name="config")
def config_fixture() -> Callable[..., dict[str, Any]]:
    return config


@pytest.fixture(name="random_tensors")
def random_tensors_fixture() -> Callable[..., Tensors]:
    return random_tensors


@pytest.fixture
def write_model(tmp_path: Path) -> Callable[..., Path]:
    """Writes a model's folder with the safetensors library."""

    def write(name: str, tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any]) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        save_file(dict(tensors), folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(config))
        for file in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
            (folder / file).write_text(json.dumps({"of": name, **TOKENIZER}))
        (folder / "chat_template.jinja").write_text(f"template of {name}")
        (folder / "README.md").write_text(f"about {name}")
        return folder

    return write


def as_artifact(folder: Path) -> Artifact:
    """A folder as the step sees its parents; content and key play no part in the merge."""
    (folder / "manifest.json").write_text("{}")
    manifest = Manifest(
        key=hashlib.sha256(bytes(folder)).hexdigest(),
        step="fetch",
        version=1,
        spec={},
        parents=(),
        tool="",
        files=(),
        facts={},
        host={},
        created=datetime.now(UTC),
        seconds=0.0,
    )
    return Artifact(folder, manifest)


@pytest.fixture
def run_merge(tmp_path: Path) -> Callable[..., tuple[Path, dict[str, Any]]]:
    """Runs the step on folders; returns the new checkpoint and the facts."""

    def run(recipe: Mapping[str, Any], *folders: Path, shard_bytes: int = 200) -> tuple[Path, dict[str, Any]]:
        number = sum(1 for _ in tmp_path.glob("merged*"))
        work = Workspace("0" * 64, tmp_path / f"merged{number}", tmp_path / f"scratch{number}")
        work.out.mkdir()
        work.scratch.mkdir()
        spec = MergeSpec.model_validate({"merge": recipe, "shard_bytes": shard_bytes})
        return work.out, dict(merge(spec, [as_artifact(folder) for folder in folders], work, Silent()))

    return run


@pytest.fixture
def load_all() -> Callable[[Path], Tensors]:
    def load(folder: Path) -> Tensors:
        loaded: Tensors = {}
        for file in folder.glob("*.safetensors"):
            loaded |= load_file(file)
        return loaded

    return load
