"""The tokenised data: the same rows as a plain loop makes, the same bytes each time, clear errors."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from suture.corpus import PinnedText, pin_text
from suture.errors import DataError, SourceError
from suture.heal.data.dataset import DatasetSpec, _apportion, dataset
from suture.progress import Silent
from suture.recipe import Text
from tests.unit.heal.steps_by_hand import END, as_artifact, make_workspace, text_of

LENGTH = 16


def write_jsonl(path: Path, texts: list[str], weight: float = 1.0) -> PinnedText:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return pin_text(Text(text=str(path), weight=weight), "train", alone=True)


def make(
    tmp_path: Path, model: Path, texts: tuple[PinnedText, ...], sequences: int, seed: int = 0, held_out: int = 0
) -> tuple[Path, dict]:
    work = make_workspace(tmp_path)
    spec = DatasetSpec(
        texts=texts, sequence_length=LENGTH, sequences=sequences, seed=seed, batch=2, held_out=held_out
    )
    facts = dataset(spec, [as_artifact(model)], work, Silent())
    return work.out, dict(facts)


def rows_of(folder: Path, file: str = "train.safetensors") -> list[tuple[int, ...]]:
    return [tuple(row) for row in load_file(folder / file)["input_ids"].reshape(-1, LENGTH).tolist()]


def packed_plainly(tokenizer_folder: Path, texts: list[str]) -> list[tuple[int, ...]]:
    tokenizer = Tokenizer.from_file(str(tokenizer_folder / "tokenizer.json"))
    end = tokenizer.token_to_id(END)
    stream = [token for text in texts for token in [*tokenizer.encode(text).ids, end]]
    return [tuple(stream[at : at + LENGTH]) for at in range(0, len(stream) - LENGTH + 1, LENGTH)]


def test_rows_are_those_of_a_plain_loop_each_epoch_once(tmp_path: Path, pico: Path, tokenizer_folder: Path) -> None:
    texts = [text_of(10 + 3 * number, start=number) for number in range(40)]
    expected = packed_plainly(tokenizer_folder, texts)
    pinned = write_jsonl(tmp_path / "x.jsonl", texts)
    folder, facts = make(tmp_path / "work", pico, (pinned,), sequences=2 * len(expected) + 3)
    counts = Counter(rows_of(folder))
    surplus = counts - Counter(expected) - Counter(expected)
    assert set(counts) == set(expected)
    assert sum(surplus.values()) == 3
    assert facts["texts"][0]["epochs"] == round((2 * len(expected) + 3) / len(expected), 4)
    assert facts["tokens"] == facts["sequences"] * LENGTH


def test_labels_and_lengths_describe_the_rows(tmp_path: Path, pico: Path) -> None:
    pinned = write_jsonl(tmp_path / "x.jsonl", [text_of(300)])
    folder, _ = make(tmp_path / "work", pico, (pinned,), sequences=5)
    tensors = load_file(folder / "train.safetensors")
    assert {name: tensor.dtype for name, tensor in tensors.items()} == dict.fromkeys(tensors, np.dtype("int32"))
    assert tensors["lengths"].tolist() == [LENGTH] * 5
    assert tensors["labels"].tolist() == tensors["input_ids"].tolist()
    assert json.loads((folder / "dataset.json").read_text())["sequences"] == 5


def test_bytes_depend_on_the_seed_alone(tmp_path: Path, pico: Path) -> None:
    pinned = write_jsonl(tmp_path / "x.jsonl", [text_of(400)])
    made = [make(tmp_path / str(n), pico, (pinned,), 12, seed)[0] for n, seed in enumerate((1, 1, 2))]
    first, again, other = ((folder / "train.safetensors").read_bytes() for folder in made)
    assert first == again
    assert first != other


def test_texts_are_blended_by_weight_and_mixed(tmp_path: Path, pico: Path) -> None:
    one = write_jsonl(tmp_path / "one.jsonl", ["a b c d e f g h " * 200], weight=3)
    two = write_jsonl(tmp_path / "two.jsonl", ["1 2 3 4 5 6 7 8 " * 200], weight=1)
    folder, facts = make(tmp_path / "work", pico, (one, two), 40)
    assert [(row["name"], row["sequences"]) for row in facts["texts"]] == [("one.jsonl", 30), ("two.jsonl", 10)]
    tokenizer = Tokenizer.from_file(str(pico / "tokenizer.json"))
    kinds = ["1" in tokenizer.decode(list(row)) for row in rows_of(folder)]
    assert sum(kinds) == 10
    assert 0 < sum(kinds[:20]) < 10


def test_held_out_rows_are_never_trained_on(tmp_path: Path, pico: Path) -> None:
    one = write_jsonl(tmp_path / "one.jsonl", [text_of(600)], weight=3)
    two = write_jsonl(tmp_path / "two.jsonl", ["1 2 3 4 5 6 7 8 " * 50, "a b c d e f g h " * 50])  # rows repeat
    made = [make(tmp_path / str(seed), pico, (one, two), 200, seed, held_out=8)[0] for seed in (0, 1)]
    held = [rows_of(folder, "heldout.safetensors") for folder in made]
    assert held[0] == held[1]  # so that trainings of several seeds can be compared
    assert len(set(held[0])) == 8
    for folder in made:
        assert not set(held[0]) & set(rows_of(folder))
    texts = json.loads((made[0] / "dataset.json").read_text())["texts"]
    assert [text["held_out"] for text in texts] == [6, 2]
    assert not (make(tmp_path / "none", pico, (one,), 4)[0] / "heldout.safetensors").exists()


def test_a_text_that_would_be_held_out_whole_is_refused(tmp_path: Path, pico: Path) -> None:
    pinned = write_jsonl(tmp_path / "x.jsonl", [text_of(60)])
    with pytest.raises(DataError, match="too short to keep a part") as caught:
        make(tmp_path / "work", pico, (pinned,), 4, held_out=50)
    assert caught.value.expected == "more than 50 different sequences"


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=6), st.integers(1, 500))
def test_apportioned_rows_add_up_and_are_within_one(weights: list[float], total: int) -> None:
    counts = _apportion(weights, total)
    assert sum(counts) == total
    assert all(abs(count - total * weight / sum(weights)) < 1 for count, weight in zip(counts, weights, strict=True))


def test_documents_begin_as_the_tokenizer_says(tmp_path: Path, pico: Path) -> None:
    folder = shutil.copytree(pico, tmp_path / "with-start")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": END, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [],
        "special_tokens": {END: {"id": END, "ids": [0], "tokens": [END]}},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    pinned = write_jsonl(tmp_path / "x.jsonl", ["seam"] * 200)
    rows = rows_of(make(tmp_path / "work", folder, (pinned,), 4)[0])
    ends = [token == 0 for row in rows for token in row]
    assert sum(ends) / len(ends) == 0.5  # start, "se", "am", end, start, "se", "am", end, ...


def test_text_shorter_than_a_row_is_refused(tmp_path: Path, pico: Path) -> None:
    pinned = write_jsonl(tmp_path / "x.jsonl", ["seam"])
    with pytest.raises(DataError, match="shorter than one training sequence") as caught:
        make(tmp_path / "work", pico, (pinned,), 4)
    assert caught.value.where == tmp_path / "x.jsonl"
    assert caught.value.found == "3 tokens in 1 documents"


@pytest.mark.parametrize("config", ["{}", '{"eos_token": "<|nowhere|>"}', '{"eos_token": {"content": null}}'])
def test_tokenizer_without_an_end_is_refused(tmp_path: Path, pico: Path, config: str) -> None:
    folder = shutil.copytree(pico, tmp_path / "endless")
    (folder / "tokenizer_config.json").write_text(config)
    pinned = write_jsonl(tmp_path / "x.jsonl", [text_of(100)])
    with pytest.raises(SourceError, match="no token that ends a text"):
        make(tmp_path / "work", folder, (pinned,), 4)


def test_missing_tokenizer_is_refused(tmp_path: Path, pico: Path) -> None:
    folder = shutil.copytree(pico, tmp_path / "mute")
    (folder / "tokenizer.json").unlink()
    pinned = write_jsonl(tmp_path / "x.jsonl", [text_of(100)])
    with pytest.raises(SourceError, match="tokenizer is missing"):
        make(tmp_path / "work", folder, (pinned,), 4)
