"""Stacks of toy Qwen3.5s the whole way: merged, loaded by transformers, converted, quantized, served, compared.

One stack is two models one after the other, one takes their layers in turn, one breaks the rhythm in which every 4th
layer has full attention. A config that is wrong about any of this converts without a word.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
import transformers
from transformers import AutoTokenizer

from suture.checkpoint.layout import read_layout
from suture.direct import merge_into
from suture.gguf import metadata, server
from suture.gguf.convert import ConvertSpec, Provenance, convert
from suture.gguf.quantize import QuantizeSpec, quantize
from suture.gguf.runner import run_tool
from suture.gguf.toolchain import Toolchain
from suture.progress import Silent
from suture.recipe import parse_recipe
from suture.store import Artifact
from tests.integration.test_gguf import as_artifact, made
from tests.integration.toy_qwen3_5 import KEPT_IN_FP32, LAYERS, write_tokenizer, write_toy

pytestmark = pytest.mark.real_model

PROMPT = "The scar holds better than the skin on either side: 31 layers, then 31 more."
TOKENS = 24
CLEAR = 0.05  # the best logit's lead; they have a standard deviation of 30, and f32 is wrong by 0.005 at most

STACKS: dict[str, tuple[list[dict[str, Any]], list[tuple[str, int]]]] = {
    "one after the other": (
        [{"source": "a", "layers": [0, 32]}, {"source": "b", "layers": [0, 32]}],
        [(source, layer) for source in "ab" for layer in range(LAYERS)],
    ),
    "interleaved": (
        [{"interleave": ["a", "b"], "layers": [0, 32]}],
        [(source, layer) for layer in range(LAYERS) for source in "ab"],
    ),
    "off the rhythm": (
        [{"source": "a", "layers": [0, 18]}, {"source": "b", "layers": [9, 32]}],
        [*(("a", layer) for layer in range(18)), *(("b", layer) for layer in range(9, LAYERS))],
    ),
}
"""Slices of a recipe, and what the layers of the result should be."""


@dataclass(frozen=True)
class Stack:
    """A merged checkpoint and its GGUF.

    Attributes:
        folder: The checkpoint.
        origins: Source and number of each layer.
        sources: The checkpoints that it was made of.
        multimodal: Whether it has a vision tower and a prediction block.
        gguf: In bf16, as the step `convert` made it.
    """

    folder: Path
    origins: list[tuple[str, int]]
    sources: Mapping[str, Path]
    multimodal: bool
    gguf: Artifact

    @property
    def kinds(self) -> list[str]:
        """The kind of each layer."""
        return ["full_attention" if layer % 4 == 3 else "linear_attention" for _, layer in self.origins]

    @property
    def layer_tensors(self) -> int:
        """How many tensors the layers have."""
        return sum(11 if kind == "full_attention" else 14 for kind in self.kinds)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def prompt(tokenizer: Path) -> list[int]:
    return AutoTokenizer.from_pretrained(tokenizer)(PROMPT)["input_ids"]


@pytest.fixture(scope="module", params=[False, True], ids=["text", "multimodal"])
def sources(
    request: pytest.FixtureRequest, tokenizer: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sources")
    return {
        name: write_toy(folder / name, tokenizer, seed, multimodal=request.param) for seed, name in enumerate("ab")
    }


@pytest.fixture(scope="module", params=STACKS, ids=lambda name: name.replace(" ", "-"))
def stack(
    request: pytest.FixtureRequest,
    sources: dict[str, Path],
    toolchain: Toolchain,
    tmp_path_factory: pytest.TempPathFactory,
) -> Stack:
    assert toolchain.binaries.is_dir()
    slices, origins = STACKS[request.param]
    folder = tmp_path_factory.mktemp("stack")
    recipe = {
        "name": "toy",
        "sources": [{"name": name, "model": str(path)} for name, path in sources.items()],
        "merge": {"method": "passthrough", "base": "a", "slices": slices},
    }
    merged = folder / "merged"
    merge_into(parse_recipe(recipe, where="test", folder=folder), merged, 30_000_000, Silent())
    spec = ConvertSpec(type="bf16", provenance=Provenance(name="toy", recipe="toy", sources=()))
    converted = made(folder, convert, spec, as_artifact(merged, "ee" * 32, {}), "c1" * 32)
    multimodal = "vision_config" in json.loads((sources["a"] / "config.json").read_text())
    return Stack(merged, origins, sources, multimodal, converted.artifact)


def load(folder: Path) -> Any:
    """Load a checkpoint by the class that its config names; nothing is missing, left over or of another shape."""
    (architecture,) = json.loads((folder / "config.json").read_text())["architectures"]
    model, info = getattr(transformers, architecture).from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    assert {kind: list(keys) for kind, keys in info.items() if keys} == {}
    return model.eval()


def test_the_sources_are_laid_out_as_the_published_ones(sources: dict[str, Path]) -> None:
    layout = read_layout(sources["a"])
    vision = {name for name in layout.tensors if ".visual." in name}
    prediction = {name for name in layout.tensors if name.startswith("mtp.")}
    layers = {name for name in layout.tensors if ".layers." in name} - prediction
    found = (layout.layers, len(layers), len(vision), len(prediction), len(layout.tensors))
    assert found in [(32, 424, 0, 0, 427), (32, 424, 333, 15, 775)]


def test_transformers_loads_every_layer_where_it_belongs(stack: Stack) -> None:
    model, sources = load(stack.folder), {name: load(path) for name, path in stack.sources.items()}
    assert model.config.get_text_config().layer_types == stack.kinds
    layers = model.get_decoder().layers
    for layer, (source, number) in zip(layers, stack.origins, strict=True):
        ours, theirs = (part.state_dict() for part in (layer, sources[source].get_decoder().layers[number]))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_what_is_fp32_stays_so(stack: Stack) -> None:
    layout = read_layout(stack.folder)
    kept = {name for name, info in layout.tensors.items() if info.dtype == "F32"}
    assert kept == {name for name in layout.tensors if name.endswith(KEPT_IN_FP32)}
    assert len(kept) == 2 * stack.kinds.count("linear_attention")
    assert len(layout.tensors) == stack.layer_tensors + 3 + (333 + 15 if stack.multimodal else 0)


def test_the_converter_finds_every_tensor(stack: Stack) -> None:
    """851 at 64 layers, 866 with the prediction block; the vision tower would be a file of its own."""
    summary = metadata.read(stack.gguf.only(".gguf"))
    assert summary.tensors == stack.layer_tensors + 3 + (15 if stack.multimodal else 0)
    assert summary.metadata["tokenizer.ggml.pre"] == "qwen35"
    assert summary.metadata["qwen35.block_count"] == len(stack.origins) + stack.multimodal


def test_the_quantized_stack_is_served(stack: Stack, tmp_path: Path) -> None:
    quantized = made(tmp_path, quantize, QuantizeSpec(type="Q4_K_M"), stack.gguf, "a1" * 32)
    with server.serving(quantized.gguf, context=256, seed=0, log=tmp_path / "server.log") as endpoint:
        question = {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": TOKENS, "temperature": 0}
        answer = httpx.post(f"{endpoint.url}/v1/chat/completions", json=question, timeout=60).json()
    assert answer["usage"]["completion_tokens"] == TOKENS
    assert answer["choices"][0]["message"]["content"]


def test_transformers_and_llama_cpp_say_the_same(
    stack: Stack, prompt: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toolchain: Toolchain
) -> None:
    """24 greedy tokens in f32: transformers, given prompt and answer, would at each place have gone on alike."""
    exact = tmp_path / "f32.gguf"  # every weight is a bf16 number or f32 already
    argv = [toolchain.binary("llama-quantize"), stack.gguf.only(".gguf"), exact, "F32"]
    run_tool(argv, log=tmp_path / "quantize.log", doing="making an f32 GGUF")
    command = server._command
    in_f32 = ("-fa", "off", "-ctk", "f32", "-ctv", "f32")
    monkeypatch.setattr(server, "_command", lambda *given: [*command(*given), *in_f32])

    with server.serving(exact, context=256, seed=0, log=tmp_path / "server.log") as endpoint:
        tokens = httpx.post(f"{endpoint.url}/tokenize", json={"content": PROMPT}, timeout=60).json()["tokens"]
        assert tokens == prompt
        question = {"prompt": prompt, "n_predict": TOKENS, "temperature": 0, "return_tokens": True}
        answer = httpx.post(f"{endpoint.url}/completion", json=question, timeout=60).json()["tokens"]

    with torch.no_grad():
        logits = load(stack.folder)(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
    best = logits.topk(2)
    assert (best.values[:, 0] - best.values[:, 1]).min() > CLEAR, "the test's weights give no clear answer"
    assert len(set(answer)) > TOKENS // 4, "the test's weights say one thing only"
    assert answer == best.indices[:, 0].tolist()
    assert len(answer) == TOKENS
