"""Rows that a recipe chooses token by token, as the engine writes them; against a plain second way to get them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from suture.errors import SourceError
from tests.unit.small_tokenizers import bpe, write_tokenizer

Tensors = dict[str, torch.Tensor]
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
WIDTH = 4


class Models:
    """a, b and c: the tokens of all are alike but for <|end|> (a and b), <|im_end|> (b and c) and <|c|> (c)."""

    def __init__(self, write_model: Callable[..., Path], config: Callable[..., Any]) -> None:
        self.tokenizers = {
            "a": bpe(special=["<|end|>"]),
            "b": bpe(special=["<|im_end|>", "<|end|>"]),
            "c": bpe(special=["<|c|>", "<|im_end|>"]),
        }
        self.folders: dict[str, Path] = {}
        self.tensors: dict[str, Tensors] = {}
        for seed, (name, tokenizer) in enumerate(self.tokenizers.items()):
            generator = torch.Generator().manual_seed(seed)
            rows = tokenizer.get_vocab_size()
            shapes = {EMBEDDING: (rows, WIDTH), HEAD: (rows, WIDTH), "model.layers.0.mlp.weight": (WIDTH, 3)}
            tensors = {key: torch.randn(shape, generator=generator).bfloat16() for key, shape in shapes.items()}
            self.tensors[name] = tensors
            self.folders[name] = write_model(name, tensors, config(1, vocab_size=rows))
            write_tokenizer(self.folders[name], tokenizer)

    def row(self, source: str, tensor: str, token: str) -> torch.Tensor | None:
        number = self.tokenizers[source].token_to_id(token)
        return None if number is None else self.tensors[source][tensor][number].float()

    def seen(self, source: str, tensor: str, token: str, chosen: Mapping[str, Mapping[str, Any]]) -> torch.Tensor:
        """The row that a source has for a token, found by looking it up token by token."""
        choice = chosen.get(token, {})
        own = self.row(source, tensor, token)
        if choice and (choice.get("force") or own is None):
            if choice.get("zero"):
                return torch.zeros(WIDTH)
            if "row" in choice:
                return self.tensors[choice["source"]][tensor][choice["row"]].float()
            row = self.row(choice["source"], tensor, choice.get("like", token))
            assert row is not None
            return row
        rows = [own, *(self.row(name, tensor, token) for name in self.tokenizers)]
        return next(row for row in rows if row is not None)


@pytest.fixture
def models(write_model: Callable[..., Path], config: Callable[..., Any]) -> Models:
    return Models(write_model, config)


CHOICES: dict[str, list[dict[str, Any]]] = {
    "of a source": [{"token": "<|im_end|>", "source": "c"}],
    "of a source, for all": [{"token": "<|im_end|>", "source": "c", "force": True}],
    "of an ordinary token, for all": [{"token": "e", "source": "b", "force": True}],
    "an ordinary token that all have": [{"token": "e", "source": "b"}],
    "like another": [{"token": "<|c|>", "source": "b", "like": "<|end|>"}],
    "by number": [{"token": "<|c|>", "source": "a", "row": 7}],
    "empty": [{"token": "<|im_end|>", "zero": True}],
    "empty, for all": [{"token": "<|end|>", "zero": True, "force": True}],
    "new": [{"token": "<|new|>", "source": "b", "like": "<|im_end|>"}, {"token": "<|spare|>", "zero": True}],
    "several": [
        {"token": "<|im_end|>", "source": "c", "force": True},
        {"token": "<|end|>", "source": "b"},
        {"token": "<|new|>", "source": "a", "row": 0, "force": True},
        {"token": "e", "zero": True, "force": True},
    ],
}


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("union", [False, True])
def test_a_blend_has_the_rows_that_were_chosen(
    run_merge: Callable[..., tuple[Path, dict[str, Any]]],
    load_all: Callable[[Path], Tensors],
    models: Models,
    choice: str,
    union: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("suture.merge.stream.CHUNK", 10)  # chunks begin in the middle of rows
    chosen = {row["token"]: row for row in CHOICES[choice]}
    recipe = {
        "method": "linear",
        "base": "a",
        "models": [{"source": "a", "weight": 2}, {"source": "b"}, {"source": "c"}],  # a mean without rounding
        "vocabulary": {"union": union, "tokens": CHOICES[choice]},
    }
    out, facts = run_merge(recipe, *models.folders.values(), shard_bytes=10**9)
    result = Tokenizer.from_file(str(out / "tokenizer.json")).get_vocab()
    ids = [tokenizer.get_vocab() for tokenizer in models.tokenizers.values()]
    assert result.keys() == ids[0].keys() | chosen.keys() | (ids[1].keys() | ids[2].keys() if union else set())
    merged = load_all(out)
    for tensor in (EMBEDDING, HEAD):
        assert len(merged[tensor]) == len(result)
        for token, number in result.items():
            a, b, c = (models.seen(source, tensor, token, chosen) for source in models.tokenizers)
            expected = (a / 2 + b / 4 + c / 4).bfloat16()
            assert torch.equal(merged[tensor][number], expected), token
    assert json.loads((out / "config.json").read_text())["vocab_size"] == len(result)
    assert facts["dropped"] == []


@pytest.mark.parametrize("choice", CHOICES)
def test_a_stack_has_the_rows_that_were_chosen(
    run_merge: Callable[..., tuple[Path, dict[str, Any]]],
    load_all: Callable[[Path], Tensors],
    models: Models,
    choice: str,
) -> None:
    chosen = {row["token"]: row for row in CHOICES[choice]}
    recipe = {
        "method": "passthrough",
        "base": "a",
        "slices": [{"source": name, "layers": [0, 1]} for name in "abc"],
        "vocabulary": {"union": True, "tokens": CHOICES[choice]},
    }
    out, _ = run_merge(recipe, *models.folders.values(), shard_bytes=10**9)
    merged = load_all(out)
    for token, number in Tokenizer.from_file(str(out / "tokenizer.json")).get_vocab().items():
        for tensor in (EMBEDDING, HEAD):
            expected = models.seen("a", tensor, token, chosen).bfloat16()
            assert torch.equal(merged[tensor][number], expected), token


def test_a_new_token_is_one_token_of_a_text(
    run_merge: Callable[..., tuple[Path, dict[str, Any]]], models: Models
) -> None:
    tokens = [{"token": "<|im_end|>", "source": "b"}, {"token": "<|new|>", "zero": True}]
    recipe = {"method": "linear", "base": "a", "models": [{"source": "a"}], "vocabulary": {"tokens": tokens}}
    out, facts = run_merge(recipe, models.folders["a"], models.folders["b"], shard_bytes=10**9)
    loaded = Tokenizer.from_file(str(out / "tokenizer.json"))
    before = models.tokenizers["a"]
    assert loaded.encode("seam<|new|><|im_end|>").tokens == [*before.encode("seam").tokens, "<|new|>", "<|im_end|>"]
    assert loaded.decode(loaded.encode("seam<|new|>").ids) == "seam", "it is special"
    assert loaded.encode("the seam<|end|>").ids == before.encode("the seam<|end|>").ids
    assert {row["source"] for row in facts["dropped"]} == {"b"}
    assert {row["reason"] for row in facts["dropped"]} == {"the source gives tokens or the chat template alone"}


def test_a_token_whose_row_is_chosen_lacks_none(
    run_merge: Callable[..., tuple[Path, dict[str, Any]]], models: Models
) -> None:
    recipe = {
        "method": "linear",
        "base": "a",
        "models": [{"source": "a"}, {"source": "b"}],
        "vocabulary": {"union": True},
    }
    assert "a lacks 1 of the 302 tokens" in run_merge(recipe, models.folders["a"], models.folders["b"])[1]["notes"][0]
    recipe["vocabulary"] = {"union": True, "tokens": [{"token": "<|im_end|>", "zero": True}]}
    assert run_merge(recipe, models.folders["a"], models.folders["b"])[1]["notes"] == []


@pytest.mark.parametrize(
    ("row", "expected", "found"),
    [
        ({"token": "<|c|>", "source": "b"}, "a token of b", "'<|c|>'"),
        ({"token": "<|end|>", "source": "b", "like": "<|c|>"}, "a token of b", "'<|c|>'"),
        ({"token": "<|end|>", "source": "b", "row": 302}, "a row below 302", "row 302"),
    ],
)
def test_a_row_that_the_source_lacks_is_refused(
    run_merge: Callable[..., tuple[Path, dict[str, Any]]],
    models: Models,
    row: dict[str, Any],
    expected: str,
    found: str,
) -> None:
    recipe = {"method": "linear", "base": "a", "models": [{"source": "a"}], "vocabulary": {"tokens": [row]}}
    with pytest.raises(SourceError, match="b has no row for") as caught:
        run_merge(recipe, models.folders["a"], models.folders["b"])
    assert (caught.value.expected, caught.value.found) == (expected, found)
