from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from suture.checkpoint.tokenizer import assign_ids, read_tokenizer
from suture.errors import CheckpointError, SourceError
from tests.unit.small_tokenizers import bpe, write_tokenizer


def table(vocabulary: Any, added: Any = (), type_: str = "BPE") -> dict[str, Any]:
    model = {"type": type_, "vocab": vocabulary} | ({"merges": []} if type_ == "BPE" else {"unk_id": 0})
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    entries = [{"id": number, "content": token, **flags} for token, number in added]
    return {"version": "1.0", "added_tokens": entries, "model": model}


def test_ids_are_those_of_the_library(tmp_path: Path) -> None:
    tokenizer = bpe(special=["<|end|>", "<|pad|>"], first=["<|start|>"])
    found = read_tokenizer(write_tokenizer(tmp_path, tokenizer), "a")
    assert found.ids == tokenizer.get_vocab(with_added_tokens=True)
    assert set(found.added) == {"<|start|>", "<|end|>", "<|pad|>"}
    assert found.size == tokenizer.get_vocab_size()
    assert all(found.tokens[number] == token for token, number in found.ids.items())


@settings(max_examples=60)
@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 9), min_size=1),
    st.lists(st.tuples(st.sampled_from("abcdefwxyz"), st.integers(0, 20)), unique_by=lambda entry: entry[0]),
)
def test_stated_ids_count_as_little_as_in_the_library(
    vocabulary: dict[str, int], added: list[tuple[str, int]]
) -> None:
    content = table(vocabulary, added)
    found, _ = assign_ids(content, "tokenizer.json")
    assert found == Tokenizer.from_str(json.dumps(content)).get_vocab(with_added_tokens=True)


def test_unigram_ids_are_places(tmp_path: Path) -> None:
    pieces = [("<unk>", 0.0), ("▁a", -1.0), ("b", -2.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, 0, byte_fallback=False))
    tokenizer.add_special_tokens(["<s>"])
    assert read_tokenizer(write_tokenizer(tmp_path, tokenizer), "a").ids == {"<unk>": 0, "▁a": 1, "b": 2, "<s>": 3}


@pytest.mark.parametrize(
    "config",
    [
        {"pad_token": "<|pad|>"},
        {
            "pad_token": {"content": "<|pad|>", "lstrip": False, "__type": "AddedToken"},
            "extra_special_tokens": ["<x>"],
        },
        {"added_tokens_decoder": {"302": {"content": "<y>", "special": False}, "301": {"content": "<z>"}}},
        {"bos_token": "<b>", "eos_token": "<|end|>", "cls_token": "<c>", "pad_token": "<b>"},
    ],
)
def test_tokens_named_beside_tokenizer_json_are_numbered_as_transformers_does(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    folder = write_tokenizer(tmp_path, bpe(), **config)
    assert read_tokenizer(folder, "a").ids == PreTrainedTokenizerFast.from_pretrained(folder).get_vocab()


def test_older_files_count_where_the_config_lists_no_tokens(tmp_path: Path) -> None:
    folder = write_tokenizer(tmp_path, bpe(), pad_token="<p>")
    (folder / "special_tokens_map.json").write_text(
        json.dumps({"mask_token": "<m>", "pad_token": {"content": "<q>"}})
    )
    found = read_tokenizer(folder, "a")
    assert {token: found.ids[token] for token in ("<|end|>", "<p>", "<m>")} == {
        "<|end|>": 300,
        "<p>": 301,
        "<m>": 302,
    }
    assert "<q>" not in found.ids
    write_tokenizer(tmp_path, bpe(), added_tokens_decoder={"300": {"content": "<|end|>"}})
    assert "<m>" not in read_tokenizer(folder, "a").ids


def test_alphabets_are_told_apart(tmp_path: Path) -> None:
    def alphabet(name: str, **parts: Any) -> str:
        return read_tokenizer(write_tokenizer(tmp_path / name, table({"a": 0}) | parts), name).alphabet

    llama = {
        "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}]}
    }
    metaspace = {"pre_tokenizer": {"type": "Metaspace", "replacement": "_"}}
    bytes_ = {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}]}}
    assert alphabet("llama", **llama) == alphabet("t5", **metaspace) == "▁ for a space"
    assert alphabet("gpt2", **bytes_) == "a character for each byte"
    assert alphabet("bert") == "plain text"


def test_a_missing_tokenizer_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="The tokenizer of b is missing") as caught:
        read_tokenizer(tmp_path, "b")
    assert "save_pretrained" in str(caught.value.way_out)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"model": None},
        {"model": {"vocab": 3}},
        {"model": {"vocab": {"a": -1}}},
        {"model": {"vocab": {"a": True}}},
        {"model": {"vocab": {"a": 2**40}}},
        {"model": {"vocab": ["a"]}},
        {"model": {"vocab": {"a": 0}}, "added_tokens": [3]},
        {"model": {"vocab": {"a": 0}}, "added_tokens": {"content": 3}},
    ],
)
def test_malformed_tokenizers_are_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(CheckpointError, match="malformed"):
        read_tokenizer(write_tokenizer(tmp_path, content), "a")
