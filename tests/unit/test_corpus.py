"""Texts: the split holds, the pin is the content, and a bad file is named with its line."""

from __future__ import annotations

import hashlib
import json
import sysconfig
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from suture.corpus import PASSAGE_CHARACTERS, cut_passages, pin_text, read_text
from suture.corpus.builtin import read_prose
from suture.corpus.passages import is_held_out
from suture.corpus.read import documents_of
from suture.errors import DataError
from suture.recipe import Text

BUILTIN = ["builtin:code", "builtin:prose"]


def jsonl(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def read_part(path: Path | str, part: str, **kwargs: bool) -> list[str]:
    return read_text(pin_text(Text(text=str(path)), part, **kwargs))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", BUILTIN)
def test_builtin_parts_are_large_disjoint_and_repeatable(name: str) -> None:
    train, heldout = read_part(name, "train"), read_part(name, "heldout")
    assert read_part(name, "heldout") == heldout
    assert sum(map(len, train)) > 400_000
    assert 60_000 < sum(map(len, heldout)) < sum(map(len, train)) / 5
    everything = "\n".join(train)
    long_passages = [passage for passage in heldout if len(passage) > 400]
    assert len(long_passages) > 30
    assert not [passage for passage in long_passages if passage in everything]


def test_code_is_split_by_file() -> None:
    files = {path.read_text(encoding="utf-8") for path in Path(sysconfig.get_path("stdlib")).glob("*.py")}
    train = set(read_part("builtin:code", "train"))
    assert train < files
    unseen = "\n".join(files - train)
    assert all(passage in unseen for passage in read_part("builtin:code", "heldout"))


def test_one_question_is_never_in_both_parts() -> None:
    documents = [row for row in read_prose() if "\n" in row.text]
    sides: dict[str, set[bool]] = {}
    for row in documents:
        sides.setdefault(row.text.partition("\n")[0].strip().lower(), set()).add(is_held_out(row.group))
    assert len(sides) > 500
    assert all(len(side) == 1 for side in sides.values())


def test_held_out_passages_begin_with_a_sample_of_many_files() -> None:
    first = read_part("builtin:code", "heldout")[:20]
    files = list(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    contents = {path.name: path.read_text(encoding="utf-8") for path in files}
    origins = {name for name, content in contents.items() for passage in first if passage in content}
    assert len(origins) >= 6


@pytest.mark.parametrize("name", BUILTIN)
def test_pin_names_content_and_not_the_place(name: str) -> None:
    pinned = pin_text(Text(text=name, weight=2.5), "train")
    other = pin_text(Text(text=name), "heldout")
    assert pinned.sha256 == other.sha256
    assert pinned.model_dump(mode="json") == {
        "name": name,
        "part": "train",
        "sha256": pinned.sha256,
        "weight": 2.5,
    }


def test_pins_need_no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_package: object) -> Path:
        raise AssertionError("planning downloads nothing")

    monkeypatch.setattr("suture.corpus.builtin.fetch_package", refuse)
    for name in BUILTIN:
        pin_text(Text(text=name), "train")


def test_file_pin_is_its_sha256(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "notes.jsonl", ["one"])
    pinned = pin_text(Text(text=str(path)), "train")
    assert pinned.name == "notes.jsonl"
    assert pinned.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "path" not in pinned.model_dump(mode="json")
    assert pinned.path == path


def test_file_changed_after_pinning_is_refused(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "notes.jsonl", ["one"])
    pinned = pin_text(Text(text=str(path)), "train", alone=True)
    jsonl(path, ["two"])
    with pytest.raises(DataError, match="changed since it was pinned"):
        read_text(pinned)


def test_empty_part_of_a_small_file_is_explained(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "notes.jsonl", ["one"])
    empty, full = ("train", "heldout") if is_held_out("one") else ("heldout", "train")
    assert read_part(path, full) == ["one"]
    with pytest.raises(DataError, match="one file to train on and another to measure on"):
        read_part(path, empty)


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip), min_size=40, max_size=80))
def test_file_parts_partition_its_documents(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = jsonl(tmp_path_factory.mktemp("split") / "x.jsonl", texts)
    documents = documents_of(path)
    train = [row.text for row in documents if not is_held_out(row.group)]
    heldout = [row.text for row in documents if is_held_out(row.group)]
    assert sorted(train + heldout) == sorted(texts)
    assert not set(train) & set(heldout)
    assert [text for text in texts if text in set(train)] == train
    assert read_part(path, "train", alone=True) == texts


def test_an_eighth_is_held_out(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "x.jsonl", [f"document {number}" for number in range(1000)])
    assert 100 < len(read_part(path, "heldout")) < 150


@given(st.text(alphabet="ab\n", max_size=400), st.integers(min_value=1, max_value=60))
def test_passages_lose_no_character_but_newlines(text: str, characters: int) -> None:
    passages = cut_passages(text, characters)
    assert "".join(passages).replace("\n", "") == text.replace("\n", "")
    paragraphs = {len(paragraph) for paragraph in text.split("\n\n")}
    assert all(len(passage) <= max(characters, *paragraphs) for passage in passages)


def test_plain_text_is_cut_at_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n\r\n".join(b"%04d " % number * 100 for number in range(40)))
    documents = read_part(path, "train", alone=True)
    assert len(documents) > 10
    assert documents[0].startswith("0000 ")
    assert all(len(document) <= PASSAGE_CHARACTERS for document in documents)


@pytest.mark.parametrize(
    ("name", "content", "problem", "where"),
    [
        ("x.jsonl", b'{"text": "a"}\n{"text": "b"\n', "not JSON", "x.jsonl, line 2"),
        ("x.jsonl", b'{"text": "a"}\n\n{"content": "b"}\n', "has no text", "x.jsonl, line 3"),
        ("x.jsonl", b'{"text": "a"}\n["text"]\n', "no JSON object", "x.jsonl, line 2"),
        ("x.jsonl", b'{"text": 3}\n', "has no text", "x.jsonl, line 1"),
        ("x.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n', "not UTF-8", "x.jsonl, line 2"),
        ("x.jsonl", b'{"text": "a"}\n{"text": "\\ud83d"}\n', "only half there", "x.jsonl, line 2"),
        ("x.json", b'[{"text": "a"}, {"text": 1}]', "has no text", "x.json, row 2"),
        ("x.json", b'{"text": "a"}\n{"txt": "b"}\n', "has no text", "x.json, line 2"),
        ("x.json", b'[{"text": "a"}', "not JSON", "x.json"),
        ("x.parquet", b"PAR1, but not really", "no Parquet file", "x.parquet"),
        ("x.txt", b"a\nb\nc \xc3\x28\n", "not UTF-8", "x.txt, line 3"),
        ("x.txt", b"", "holds no text", "x.txt"),
        ("x.txt", b" \n\n \n", "holds no text", "x.txt"),
        ("x.jsonl", b'{"text": " "}\n', "holds no text", "x.jsonl"),
        ("x.csv", b"a,b", "no such text", "x.csv"),
    ],
)
def test_bad_files_are_named_with_their_line(
    tmp_path: Path, name: str, content: bytes, problem: str, where: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=problem) as caught:
        pin_text(Text(text=str(path)), "train")
    assert str(caught.value.where) == str(tmp_path / where)


def test_every_kind_of_file_holds_the_same_rows(tmp_path: Path) -> None:
    rows = [{"text": "one", "n": None}, {"text": "two \u00e9", "n": 2}]
    jsonl(tmp_path / "x.jsonl", [str(row["text"]) for row in rows])
    (tmp_path / "list.json").write_text("\n " + json.dumps(rows, indent=1))
    (tmp_path / "lines.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    for name in ("x.jsonl", "list.json", "lines.json", "x.parquet"):
        assert read_part(tmp_path / name, "train", alone=True) == ["one", "two \u00e9"], name


@pytest.mark.parametrize("name", ["builtin:poems", "/nowhere/at/all.txt"])
def test_missing_texts_are_refused(name: str) -> None:
    with pytest.raises(DataError) as caught:
        pin_text(Text(text=name), "train")
    assert str(caught.value.where) == name
