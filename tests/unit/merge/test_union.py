from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as Library
from tokenizers import models

from suture.checkpoint.tokenizer import Tokenizer, read_tokenizer, special_token
from suture.errors import CheckpointError, SourceError
from suture.merge.union import add_tokens, extend_tokenizer
from tests.unit.small_tokenizers import CODE, PROSE, bpe, write_tokenizer

TEXTS = [PROSE, CODE, "unseen wörds, 12 号\n\n\ttabs", "a<|end|>b <|end|>", "🙂 <|im_end|>"]


def read(folder: Path, tokenizer: Any, **config: Any) -> Tokenizer:
    return read_tokenizer(write_tokenizer(folder, tokenizer, **config), folder.name)


def library(tokenizer: Tokenizer) -> Library:
    return Library.from_str(tokenizer.content["tokenizer.json"].decode())


def test_a_tokenizer_that_lacks_nothing_is_left_alone(tmp_path: Path) -> None:
    a, b = (read(tmp_path / name, bpe()) for name in "ab")
    assert extend_tokenizer(a, [b]) is a
    assert extend_tokenizer(a, []) is a


def test_added_tokens_follow_and_change_no_other_text(tmp_path: Path) -> None:
    first = bpe(special=["<|end|>"])
    a = read(tmp_path / "a", first)
    b = read(tmp_path / "b", bpe(special=["<|im_start|>", "<|end|>", "<|im_end|>"]))
    c = read(tmp_path / "c", bpe(special=["<|c|>", "<|im_end|>"]), pad_token="<|pad|>")
    united = extend_tokenizer(a, [b, c])
    loaded = library(united)
    assert united.ids == loaded.get_vocab() == a.ids | {
        "<|im_start|>": 301, "<|im_end|>": 302, "<|c|>": 303, "<|pad|>": 304,
    }  # fmt: skip
    for text in TEXTS[:4]:
        assert loaded.encode(text).ids == first.encode(text).ids
    assert loaded.encode("seam<|im_end|>").ids == [*first.encode("seam").ids, 302]
    assert united.table["model"] == a.table["model"]


def test_ordinary_tokens_come_with_their_merges(tmp_path: Path) -> None:
    first, second = bpe(PROSE, 330), bpe(CODE, 330, special=["<|im_end|>", "<|end|>"])
    a, b = read(tmp_path / "a", first), read(tmp_path / "b", second)
    united = extend_tokenizer(a, [b])
    loaded = library(united)
    assert loaded.get_vocab() == united.ids
    assert {token: united.ids[token] for token in a.ids} == a.ids
    assert sorted(united.ids.values()) == list(range(len(united.ids)))
    assert united.ids.keys() == a.ids.keys() | b.ids.keys()
    assert [json.loads(loaded.to_str())["model"]["merges"][number] for number in range(3)] == [
        list(merge) for merge in json.loads(first.to_str())["model"]["merges"][:3]
    ]
    own = set(b.ids.values()) - {second.token_to_id(token) for token in a.ids}
    assert own & set(second.encode(CODE).ids), "the code has tokens that only the second one has"
    seen = set(loaded.encode(CODE).tokens)
    assert seen - a.ids.keys(), "and they come out of a text, which they never would without their merges"
    for text in TEXTS:
        assert loaded.decode(loaded.encode(text).ids, skip_special_tokens=False) == text
    assert loaded.encode("<|end|><|im_end|>").tokens == ["<|end|>", "<|im_end|>"]


def test_text_without_tokens_of_the_others_is_cut_as_ever(tmp_path: Path) -> None:
    first = bpe("healing seams " * 5, 290)
    united = extend_tokenizer(read(tmp_path / "a", first), [read(tmp_path / "b", bpe("Ωψφχ " * 5, 262))])
    assert len(united.ids) > first.get_vocab_size()
    assert library(united).encode("healing seams, seam 7").ids == first.encode("healing seams, seam 7").ids


def test_tokens_listed_in_the_config_are_listed_there_too(tmp_path: Path) -> None:
    decoder = {"300": {"content": "<|end|>", "special": True}}
    a = read(tmp_path / "a", bpe(), added_tokens_decoder=decoder, eos_token="<|end|>")
    united = extend_tokenizer(a, [read(tmp_path / "b", bpe(special=["<|x|>"]))])
    listed = json.loads(united.content["tokenizer_config.json"])["added_tokens_decoder"]
    assert {number: entry["content"] for number, entry in listed.items()} == {"300": "<|end|>", "301": "<|x|>"}
    assert json.loads(united.content["tokenizer_config.json"])["eos_token"] == "<|end|>"
    plain = extend_tokenizer(read(tmp_path / "c", bpe()), [read(tmp_path / "d", bpe(special=["<|x|>"]))])
    assert "added_tokens_decoder" not in plain.config


def test_a_mark_that_lies_unused_in_the_vocabulary_is_added(tmp_path: Path) -> None:
    reserved = json.loads(bpe(size=301, special=(), first=["<|im_end|>"]).to_str())
    reserved["added_tokens"] = []
    a = read(tmp_path / "a", reserved)
    assert "<|im_end|>" in a.ids
    # Models that pad with an ordinary token do not make it special for others.
    merged = "".join(reserved["model"]["merges"][0])
    b = read(tmp_path / "b", bpe(special=["<|im_end|>"]), pad_token="!", unk_token=merged)
    united = extend_tokenizer(a, [b])
    assert list(united.added) == ["<|im_end|>"]
    assert united.ids == a.ids
    assert library(united).encode("seam<|im_end|>").ids[-1] == a.ids["<|im_end|>"]


def change(tokenizer: Library, part: str, value: Any) -> dict[str, Any]:
    table = copy.deepcopy(json.loads(tokenizer.to_str()))
    section = table if part in table else table["model"]
    section[part] = value
    return table


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("normalizer", {"type": "NFC"}),
        ("pre_tokenizer", {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}),
        ("byte_fallback", True),
        ("ignore_merges", True),
        ("end_of_word_suffix", "</w>"),
    ],
)
def test_models_that_prepare_texts_differently_are_not_united(tmp_path: Path, part: str, value: Any) -> None:
    a = read(tmp_path / "a", bpe(PROSE))
    with pytest.raises(SourceError, match="cannot be united") as caught:
        extend_tokenizer(a, [read(tmp_path / "b", change(bpe(CODE), part, value))])
    assert part in str(caught.value.found)
    same_words = read(tmp_path / "c", change(bpe(PROSE, special=["<|x|>"]), part, value))
    assert extend_tokenizer(a, [same_words]).ids.keys() == a.ids.keys() | {"<|x|>"}


def test_what_does_not_change_the_tokens_may_differ(tmp_path: Path) -> None:
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True}
    other = change(bpe(CODE, 330), "pre_tokenizer", byte_level)
    del other["model"]["ignore_merges"]
    other["model"]["merges"] = [" ".join(pair) for pair in other["model"]["merges"]]
    a, b = read(tmp_path / "a", bpe(PROSE, 330)), read(tmp_path / "b", other)
    assert extend_tokenizer(a, [b]).ids.keys() == a.ids.keys() | b.ids.keys()


def test_only_bpe_models_are_united(tmp_path: Path) -> None:
    a = read(tmp_path / "a", Library(models.WordLevel({"x": 0}, "x")))
    with pytest.raises(SourceError, match="cannot be united") as caught:
        extend_tokenizer(a, [read(tmp_path / "b", Library(models.WordLevel({"y": 0}, "y")))])
    assert caught.value.found == "WordLevel and WordLevel"


def test_ids_with_holes_are_refused(tmp_path: Path) -> None:
    holes = json.loads(bpe(special=()).to_str())
    holes["model"]["vocab"] = {token: 2 * number for token, number in holes["model"]["vocab"].items()}
    with pytest.raises(SourceError, match="its ids have holes"):
        extend_tokenizer(read(tmp_path / "a", holes), [read(tmp_path / "b", bpe(special=["<|x|>"]))])


def test_malformed_merges_are_refused(tmp_path: Path) -> None:
    b = change(bpe(CODE), "merges", ["a b c"])
    with pytest.raises(CheckpointError, match="tokenizer of b is malformed"):
        extend_tokenizer(read(tmp_path / "a", bpe(PROSE)), [read(tmp_path / "b", b)])


# -- single tokens --------------------------------------------------------------------------------------------------


def test_single_tokens_are_added_once(tmp_path: Path) -> None:
    decoder = {"300": {"content": "<|end|>", "special": True}}
    a = read(tmp_path / "a", bpe(), added_tokens_decoder=decoder)
    assert add_tokens(a, {"<|end|>": special_token("<|end|>"), "e": special_token("e")}) is a
    added = add_tokens(a, {token: special_token(token) for token in ("<|x|>", "<|end|>", "<|y|>")})
    assert library(added).get_vocab() == added.ids == a.ids | {"<|x|>": 301, "<|y|>": 302}
    listed = json.loads(added.content["tokenizer_config.json"])["added_tokens_decoder"]
    assert [entry["content"] for entry in listed.values()] == ["<|end|>", "<|x|>", "<|y|>"]
    assert added.table["model"] is a.table["model"]


def test_single_tokens_of_a_tokenizer_with_holes_are_refused(tmp_path: Path) -> None:
    holes = json.loads(bpe(special=()).to_str())
    holes["model"]["vocab"] = {token: 2 * number for token, number in holes["model"]["vocab"].items()}
    with pytest.raises(SourceError, match="its ids have holes"):
        add_tokens(read(tmp_path / "a", holes), {"<|x|>": special_token("<|x|>")})
