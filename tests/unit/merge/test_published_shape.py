"""Two Qwen3.5-9B end to end, with true shapes: sparse files hold 19.3 GB each and take a few MB of disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

from suture.checkpoint.reader import Extent, open_checkpoint, read_chunks
from suture.checkpoint.tensors import TensorInfo
from suture.checkpoint.writer import OutputTensor, write_checkpoint
from suture.progress import Silent

RunMerge = Callable[..., tuple[Path, dict[str, Any]]]
KEPT_IN_FP32 = ("linear_attn.A_log", "linear_attn.norm.weight")


def published_tensors(config: Qwen3_5Config) -> dict[str, tuple[int, ...]]:
    """The 775 tensors: transformers knows all but the 15 of multi-token prediction."""
    with torch.device("meta"):
        model = Qwen3_5ForConditionalGeneration(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    layer = "model.language_model.layers.3."
    shapes |= {
        name.replace(layer, "mtp.layers.0."): shape for name, shape in shapes.items() if name.startswith(layer)
    }
    norms = ("norm", "pre_fc_norm_embedding", "pre_fc_norm_hidden")
    return shapes | {"mtp.fc.weight": (4096, 8192)} | {f"mtp.{norm}.weight": (4096,) for norm in norms}


@pytest.fixture
def sources(tmp_path: Path) -> tuple[Path, Path]:
    """Source a keeps some tensors in fp32, b has all in bf16; each tensor begins with its own name."""
    config = Qwen3_5Config(
        text_config={"full_attention_interval": 4, "mtp_num_hidden_layers": 1},
        vision_config={"out_hidden_size": 4096},
    )
    shapes = published_tensors(config)
    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        folder.mkdir()
        tensors: list[OutputTensor] = []
        for name, shape in shapes.items():
            dtype = "F32" if folder.name == "a" and name.endswith(KEPT_IN_FP32) else "BF16"
            size = TensorInfo(dtype, shape).nbytes
            content = tmp_path / f"{folder.name}.{name}"
            with content.open("wb") as file:
                file.write(f"{folder.name} {name}".encode()[:size])
                file.truncate(size)
            tensors.append(OutputTensor(name, dtype, shape, Extent(content, 0, size)))
        write_checkpoint(folder, tensors, 5_000_000_000, Silent())
        config.to_json_file(folder / "config.json")
        for file in ("tokenizer.json", "tokenizer_config.json"):
            (folder / file).write_text("{}")
    return folders


LINEAR, FULL = "linear_attention", "full_attention"


@pytest.mark.parametrize(
    ("slices", "kinds", "origins", "seams"),
    [
        (
            [{"source": source, "layers": [0, 32]} for source in "ab"],
            ([LINEAR] * 3 + [FULL]) * 16,
            [("a", 0), ("a", 31), ("b", 0), ("b", 31)],
            [32],
        ),
        (
            [{"interleave": ["a", "b"], "layers": [0, 32]}],
            ([LINEAR] * 6 + [FULL] * 2) * 8,
            [("a", 0), ("b", 15), ("a", 16), ("b", 31)],
            [*range(1, 64)],
        ),
    ],
    ids=["one-after-the-other", "interleaved"],
)
def test_the_stack_has_the_published_size(
    run_merge: RunMerge,
    sources: tuple[Path, Path],
    slices: list[dict[str, Any]],
    kinds: list[str],
    origins: list[tuple[str, int]],
    seams: list[int],
) -> None:
    """Origins are those of the layers 0, 31, 32 and 63."""
    recipe = {"method": "passthrough", "base": "a", "slices": slices}
    out, facts = run_merge(recipe, *sources, shard_bytes=5_000_000_000)
    assert (facts["tensors_in"], facts["tensors_out"], facts["bytes"]) == (2 * 775, 1199, 33_145_339_872)
    assert (facts["layers"], facts["seams"], len(facts["dropped"])) == (64, seams, 775 - 424)
    shards = sorted(out.glob("model-*.safetensors"))
    assert len(shards) == 7
    assert sum(path.stat().st_blocks * 512 for path in shards) < 50e6
    made_of = {f"layers.{place}.mlp.up_proj": origin for place, origin in zip((0, 31, 32, 63), origins, strict=True)}
    written = {"norm": ("a", "norm")} | {
        name: (source, f"layers.{layer}.mlp.up_proj") for name, (source, layer) in made_of.items()
    }
    checkpoint = open_checkpoint(out)
    for name, (source, origin) in written.items():
        label = f"{source} model.language_model.{origin}.weight".encode()
        extent = checkpoint.extents[f"model.language_model.{name}.weight"]
        assert next(read_chunks(extent, len(label) + 1)) == label + b"\0"
    dtypes = {name: info.dtype for name, info in checkpoint.layout.tensors.items() if name.endswith(KEPT_IN_FP32)}
    assert sorted(dtypes.values()) == ["BF16"] * 48 + ["F32"] * 48  # each source's own
    text = json.loads((out / "config.json").read_text())["text_config"]
    assert (text["num_hidden_layers"], text["mtp_num_hidden_layers"]) == (64, 1)
    assert text["layer_types"] == kinds
