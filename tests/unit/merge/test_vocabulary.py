from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from suture.checkpoint.layout import Layout
from suture.errors import SourceError
from suture.merge.rows import RowMap
from suture.merge.vocabulary import MergedVocabulary, check_vocabularies, merge_vocabulary, read_tokenizers
from suture.recipe.merge import Blend, Passthrough
from tests.unit.small_tokenizers import CODE, PROSE, bpe, layout, write_tokenizer

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


class Models:
    """Sources with the given tokenizers; row k of source number i is written as 1000 i + k."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.layouts: dict[str, Layout] = {}
        self.folders: dict[str, Path] = {}

    def add(self, name: str, tokenizer: Any, *, rows: int, tied: bool = True, **config: Any) -> None:
        self.folders[name] = write_tokenizer(self._folder / name, tokenizer, **config)
        self.layouts[name] = layout(rows, tied=tied)

    def merge(self, vocabulary: Mapping[str, Any] | None = None, base: str = "a") -> MergedVocabulary:
        models = [{"source": name} for name in self.layouts]
        merge = Blend.model_validate({"method": "linear", "base": base, "models": models, "vocabulary": vocabulary})
        return merge_vocabulary(merge, self.layouts, self.folders)

    def ids(self, name: str) -> dict[str, int]:
        table = json.loads((self.folders[name] / "tokenizer.json").read_text())
        added = {entry["content"]: entry["id"] for entry in table["added_tokens"]}
        return {**table["model"]["vocab"], **added}


@pytest.fixture
def models(tmp_path: Path) -> Models:
    return Models(tmp_path)


def taken(rows: RowMap) -> NDArray[np.int64]:
    """Fill each row with 1000 x the place of its source by name (a, b, c) + the row; -1 where it is empty."""
    values: list[int] = []
    for source, _, first, count in rows.runs():
        values += [1000 * "abc".index(source) + first + offset if source else -1 for offset in range(count)]
    return np.array(values)


def permuted(seed: int) -> dict[str, Any]:
    """The tokenizer of `bpe()`, with all ids of the model shuffled."""
    table = json.loads(bpe().to_str())
    vocabulary = table["model"]["vocab"]
    order = np.random.default_rng(seed).permutation(len(vocabulary)).tolist()
    table["model"]["vocab"] = dict(zip(vocabulary, order, strict=True))
    return table


def test_the_same_tokens_are_the_same_rows(models: Models) -> None:
    models.add("a", bpe(), rows=304)
    models.add("b", bpe(), rows=304)
    merged = models.merge({})
    assert (merged.rows, merged.source, merged.is_extended) == (304, "a", False)
    assert merged.row_map("a", EMBEDDING).is_copy(304)
    # 301 tokens; the spare rows are the base's in all sources
    assert taken(merged.row_map("b", EMBEDDING)).tolist() == [*range(1000, 1301), 301, 302, 303]
    assert merged.lacking == {"a": 0, "b": 0}


def test_rows_follow_their_tokens(models: Models) -> None:
    models.add("a", bpe(), rows=301)
    models.add("b", permuted(1), rows=301)
    found = taken(models.merge({}).row_map("b", EMBEDDING))
    for token, number in models.ids("a").items():
        assert found[number] == 1000 + models.ids("b")[token]


@pytest.mark.parametrize("base", ["a", "b"])
def test_a_token_that_a_source_lacks_takes_the_row_of_the_base_or_the_first_that_has_it(
    models: Models, base: str
) -> None:
    models.add("a", bpe(special=["<|end|>"]), rows=301)
    models.add("b", bpe(special=["<|b|>", "<|end|>"]), rows=302)
    models.add("c", bpe(special=["<|c|>", "<|b|>"]), rows=302)
    merged = models.merge({"union": True, "source": "a"}, base=base)
    assert [merged.tokenizer.tokens[number] for number in range(300, 303)] == ["<|end|>", "<|b|>", "<|c|>"]
    assert merged.rows == 303
    assert taken(merged.row_map("a", EMBEDDING))[300:].tolist() == [300, 1300, 2300]
    assert taken(merged.row_map("b", EMBEDDING))[300:].tolist() == [1301, 1300, 2300]
    end = {"a": 300, "b": 1301}[base]
    assert taken(merged.row_map("c", EMBEDDING))[300:].tolist() == [end, 2301, 2300]
    assert merged.lacking == {"a": 2, "b": 1, "c": 1}
    assert "a lacks 2 of the 303 tokens: they take the rows of another source." in merged.notes
    assert len(merged.notes) == 3


def test_new_tokens_take_spare_rows_first(models: Models) -> None:
    models.add("a", bpe(), rows=304)
    models.add("b", bpe(special=["<|b|>"]), rows=310)
    merged = models.merge({"union": True})
    assert merged.rows == 304
    assert taken(merged.row_map("a", EMBEDDING))[299:].tolist() == [299, 300, 1300, 302, 303]
    assert taken(merged.row_map("b", EMBEDDING))[299:].tolist() == [1299, 300, 1300, 302, 303]


def test_ordinary_tokens_of_several_sources_are_told(models: Models) -> None:
    models.add("a", bpe(PROSE, 330), rows=331)
    models.add("b", bpe(CODE, 330), rows=331)
    assert "llama.cpp's converter" in models.merge({"union": True}).notes[-1]
    assert not any("llama.cpp" in note for note in models.merge({}).notes)


def test_padding_adds_empty_rows_and_takes_none_away(models: Models) -> None:
    models.add("a", bpe(), rows=304)
    models.add("b", bpe(), rows=301)
    found = models.merge({"pad_to_multiple_of": 100})
    assert found.rows == 400
    assert taken(found.row_map("a", EMBEDDING)).tolist() == [*range(304), *[-1] * 96]
    assert taken(found.row_map("b", EMBEDDING))[:305].tolist() == [*range(1000, 1301), 301, 302, 303, -1]
    assert models.merge({"pad_to_multiple_of": 2}).rows == 304


def test_the_tokenizer_of_another_source_has_its_rows_too(models: Models) -> None:
    models.add("a", bpe(PROSE, 330), rows=331)
    models.add("b", bpe(CODE, 320), rows=330)
    merged = models.merge({"source": "b"})
    assert (merged.rows, merged.source) == (330, "b")
    assert merged.row_map("b", EMBEDDING).is_copy(330)
    of_a = taken(merged.row_map("a", EMBEDDING))
    for token, number in models.ids("b").items():
        assert of_a[number] == models.ids("a").get(token, 1000 + number)
    assert of_a[321:].tolist() == [*range(1321, 1330)]
    assert merged.lacking["a"] == len(models.ids("b").keys() - models.ids("a").keys()) > 0


def test_one_tokenizer_of_several_sources_is_read_once(models: Models) -> None:
    models.add("a", bpe(), rows=304)
    models.add("b", bpe(), rows=304)
    models.add("c", bpe(), rows=304, pad_token="<|pad|>")
    found = read_tokenizers(models.folders, "abc")
    assert found["b"].table is found["a"].table
    assert found["c"].table is not found["a"].table
    assert [found[name].name for name in "abc"] == ["a", "b", "c"]
    assert "<|pad|>" in found["c"].ids.keys() - found["b"].ids.keys()


def test_a_token_without_a_row_of_its_own_gets_one(models: Models) -> None:
    models.add("a", bpe(special=["<|end|>", "<|pad|>"]), rows=300)  # its tokenizer was extended, its embedding not
    models.add("b", bpe(special=["<|end|>"]), rows=301)
    merged = models.merge({})
    assert merged.rows == 302
    assert taken(merged.row_map("a", EMBEDDING))[299:].tolist() == [299, 1300, -1]


def test_heads_follow_as_well_and_a_tied_one_is_the_embedding(models: Models) -> None:
    models.add("a", bpe(special=["<|end|>"]), rows=301, tied=False)
    models.add("b", bpe(special=["<|b|>", "<|end|>"]), rows=302)
    merged = models.merge({"union": True})
    assert merged.is_by_token(HEAD)
    assert merged.is_by_token(EMBEDDING)
    assert not merged.is_by_token("model.norm.weight")
    runs = list(merged.row_map("b", HEAD).runs())
    assert [(source, tensor) for source, tensor, _, _ in runs] == [("b", EMBEDDING)] * 3
    assert [run.tensor for run in merged.row_map("a", HEAD).runs()] == [HEAD, EMBEDDING]
    swapped = models.merge({"union": True, "source": "a"}, base="b")
    assert not swapped.is_by_token(HEAD)
    assert [run.tensor for run in swapped.row_map("a", HEAD, of="a").runs()] == [HEAD, EMBEDDING]


def test_a_merge_without_a_vocabulary_has_the_base_s(models: Models) -> None:
    models.add("a", bpe(), rows=301)
    models.add("b", permuted(2), rows=301)
    assert models.merge(None).source == "a"


def test_a_stack_takes_part(models: Models) -> None:
    models.add("a", bpe(), rows=301)
    models.add("b", bpe(special=["<|b|>"]), rows=301)
    stack = {
        "method": "passthrough",
        "base": "a",
        "slices": [{"source": "b", "layers": [0, 1]}],
        "vocabulary": {"union": True},
    }
    merged = merge_vocabulary(Passthrough.model_validate(stack), models.layouts, models.folders)
    assert taken(merged.row_map("a", EMBEDDING)).tolist() == [*range(301), 1300]


def test_other_alphabets_are_refused(models: Models) -> None:
    models.add("a", bpe(), rows=301)
    table = json.loads(bpe().to_str()) | {"pre_tokenizer": {"type": "Metaspace"}, "decoder": {"type": "Metaspace"}}
    models.add("b", table, rows=301)
    with pytest.raises(SourceError, match="b writes its tokens otherwise than a"):
        models.merge({})


# -- blending row by row ------------------------------------------------------------------------------------------


def check(models: Models) -> tuple[str, ...]:
    others = [name for name in models.layouts if name != "a"]
    return check_vocabularies("a", others, models.layouts, models.folders)


def test_the_same_vocabulary_may_be_blended_row_by_row(models: Models) -> None:
    models.add("a", bpe(), rows=304)
    models.add("b", bpe(), rows=304)
    assert check(models) == ()
    (models.folders["b"] / "tokenizer.json").write_text(bpe().to_str(pretty=True))  # other bytes, the same tokens
    assert check(models) == ()


def test_tokens_that_only_one_has_are_told(models: Models) -> None:
    models.add("a", bpe(special=["<|reserved|>", "<|end|>"]), rows=304)
    models.add("b", bpe(special=["<|im_start|>", "<|end|>", "<|x|>"]), rows=304)
    assert check(models) == (
        "The tokens of a and b differ: 1 only in a, 2 only in b; the rest have the same ids.",
    )  # fmt: skip


def test_a_token_with_two_ids_is_refused(models: Models) -> None:
    models.add("a", bpe(special=["<|start|>", "<|end|>"]), rows=304)
    models.add("b", bpe(special=["<|end|>", "<|start|>"]), rows=304)
    with pytest.raises(SourceError, match="cannot be blended row by row") as caught:
        check(models)
    assert caught.value.found == "2 tokens with another id: '<|end|>' is 301 and 300, '<|start|>' is 300 and 301"
    assert "vocabulary: {}" in str(caught.value.way_out)


def test_other_words_are_refused_even_if_none_has_two_ids(models: Models) -> None:
    def words(prefix: str) -> dict[str, Any]:
        return {"model": {"type": "BPE", "vocab": {f"{prefix}{number}": number for number in range(9)}, "merges": []}}

    models.add("a", words("a"), rows=9)
    models.add("b", words("b"), rows=9)
    with pytest.raises(SourceError, match="cannot be blended") as caught:
        check(models)
    assert caught.value.found == "only 0 of 9"


def test_other_lengths_are_refused(models: Models) -> None:
    models.add("a", bpe(), rows=304)
    models.add("b", bpe(), rows=301)
    with pytest.raises(SourceError, match="cannot be blended") as caught:
        check(models)
    assert (caught.value.expected, caught.value.found) == ("304 rows, as in a", "301 in b")


def test_a_source_without_a_tokenizer_is_told(models: Models) -> None:
    models.add("a", bpe(), rows=304)
    models.add("b", bpe(), rows=304)
    (models.folders["b"] / "tokenizer.json").unlink()
    assert check(models) == ("b has no tokenizer.json: a and b are taken to have the same tokens.",)
