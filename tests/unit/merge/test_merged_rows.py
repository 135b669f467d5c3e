"""Vocabularies through the whole merge: which rows the engine really writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from suture.errors import SourceError
from tests.unit.small_tokenizers import bpe, write_tokenizer

Tensors = dict[str, torch.Tensor]
RunMerge = Callable[..., tuple[Path, dict[str, Any]]]
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
WIDTH = 4


@pytest.fixture
def models(
    write_model: Callable[..., Path], config: Callable[..., Any]
) -> tuple[dict[str, Path], dict[str, Tokenizer]]:
    """Two models: b has the base's tokens under other ids, and one token more."""
    tokenizers = {"a": bpe(), "b": bpe(first=["<|tool|>"])}
    folders: dict[str, Path] = {}
    for seed, (name, tokenizer) in enumerate(tokenizers.items()):
        generator = torch.Generator().manual_seed(seed)
        rows = tokenizer.get_vocab_size()
        shapes = {EMBEDDING: (rows, WIDTH), HEAD: (rows, WIDTH), "model.layers.0.mlp.weight": (WIDTH, 3)}
        tensors = {key: torch.randn(shape, generator=generator).bfloat16() for key, shape in shapes.items()}
        folders[name] = write_model(name, tensors, config(1, vocab_size=rows))
        write_tokenizer(folders[name], tokenizer)
    return folders, tokenizers


def linear(**more: Any) -> dict[str, Any]:
    return {"method": "linear", "base": "a", "models": [{"source": "a"}, {"source": "b"}], **more}


def test_rows_of_other_tokens_are_not_blended(
    run_merge: RunMerge, models: tuple[dict[str, Path], dict[str, Tokenizer]]
) -> None:
    folders, _ = models
    with pytest.raises(SourceError, match="vocabulary"):
        run_merge(linear(), folders["a"], folders["b"])


@pytest.mark.parametrize("union", [False, True])
def test_rows_follow_their_tokens(
    run_merge: RunMerge,
    models: tuple[dict[str, Path], dict[str, Tokenizer]],
    load_all: Callable[[Path], Tensors],
    union: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("suture.merge.stream.CHUNK", 10)  # chunks begin in the middle of rows
    folders, tokenizers = models
    out, facts = run_merge(linear(vocabulary={"union": union}), folders["a"], folders["b"], shard_bytes=10**9)
    result = Tokenizer.from_file(str(out / "tokenizer.json")).get_vocab()
    a, b = tokenizers["a"].get_vocab(), tokenizers["b"].get_vocab()
    assert result.keys() == (a.keys() | b.keys() if union else a.keys())
    assert all(result[token] == number for token, number in a.items())
    sources, merged = {name: load_all(folder) for name, folder in folders.items()}, load_all(out)
    for tensor in (EMBEDDING, HEAD):
        assert len(merged[tensor]) == len(result)
        for token, number in result.items():
            mine = sources["a"][tensor][a[token]] if token in a else sources["b"][tensor][b[token]]
            theirs = sources["b"][tensor][b[token]] if token in b else sources["a"][tensor][a[token]]
            expected = ((mine.float() + theirs.float()) / 2).bfloat16()
            assert torch.equal(merged[tensor][number], expected), token
    assert json.loads((out / "config.json").read_text())["vocab_size"] == len(result)
    assert not facts["dropped"]


def test_a_stack_may_take_another_sources_tokens(
    run_merge: RunMerge,
    models: tuple[dict[str, Path], dict[str, Tokenizer]],
    load_all: Callable[[Path], Tensors],
) -> None:
    folders, tokenizers = models
    slices = [{"source": name, "layers": [0, 1]} for name in "ab"]
    recipe = {"method": "passthrough", "base": "a", "slices": slices, "vocabulary": {"source": "b"}}
    out, _ = run_merge(recipe, folders["a"], folders["b"], shard_bytes=10**9)
    a, b = (tokenizers[name].get_vocab() for name in "ab")
    sources, merged = {name: load_all(folder) for name, folder in folders.items()}, load_all(out)
    assert (out / "tokenizer.json").read_bytes() == (folders["b"] / "tokenizer.json").read_bytes()
    for token, number in b.items():
        expected = sources["a"][EMBEDDING][a[token]] if token in a else sources["b"][EMBEDDING][number]
        assert torch.equal(merged[EMBEDDING][number], expected), token


def test_the_vocabulary_is_padded(
    run_merge: RunMerge, models: tuple[dict[str, Path], dict[str, Tokenizer]], load_all: Callable[[Path], Tensors]
) -> None:
    folders, _ = models
    merge = {"method": "linear", "base": "a", "models": [{"source": "a"}], "vocabulary": {"pad_to_multiple_of": 64}}
    out, _ = run_merge(merge, folders["a"], shard_bytes=10**9)
    before, after = load_all(folders["a"])[EMBEDDING], load_all(out)[EMBEDDING]
    assert len(after) % 64 == 0
    assert torch.equal(after[: len(before)], before)
    assert not after[len(before) :].any()
