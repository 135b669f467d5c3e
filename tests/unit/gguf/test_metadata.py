from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suture.errors import CheckpointError
from suture.gguf import metadata
from suture.progress import Silent
from tests.unit.gguf.plain_gguf import STRING, parse, some_tensors, write_gguf

VALUES = {"suture.key": "k" * 64, "suture.recipe": "", "suture.sources": '[{"name":"ü"}]'}


def stamped(source: Path, values: dict[str, str] = VALUES) -> Path:
    target = source.with_name("stamped.gguf")
    metadata.stamp(source, target, values, Silent())
    return target


def test_stamping_adds_its_values_and_changes_nothing_else(small_gguf: Path) -> None:
    before, after = parse(small_gguf), parse(stamped(small_gguf))
    added = {"suture.key": (STRING, "k" * 64), "suture.sources": (STRING, '[{"name":"ü"}]')}
    assert after.values == before.values | added
    assert list(after.values)[-2:] == ["suture.key", "suture.sources"]
    assert after.tensors == before.tensors
    assert after.data == before.data
    assert len(after.data) > 0


def test_stamping_replaces_what_is_there(small_gguf: Path) -> None:
    once = stamped(small_gguf, {"general.name": "after", "suture.key": "first"})
    again = once.with_name("again.gguf")
    metadata.stamp(once, again, {"suture.key": "second"}, Silent())
    values = parse(again).values
    assert values["general.name"] == (STRING, "after")
    assert values["suture.key"] == (STRING, "second")


def test_stamping_twice_gives_the_same_bytes(small_gguf: Path) -> None:
    first = stamped(small_gguf).read_bytes()
    assert stamped(small_gguf).read_bytes() == first


def test_stamping_keeps_another_alignment(tmp_path: Path) -> None:
    source = write_gguf(tmp_path / "aligned.gguf", alignment=256)
    after = parse(stamped(source))
    assert after.data_offset % 256 == 0
    assert after.data == parse(source).data
    assert all(offset % 256 == 0 for _, _, offset in after.tensors.values())


@given(text=st.text(min_size=1), name=st.from_regex(r"suture\.[a-z]{1,30}", fullmatch=True))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_survives_and_the_reader_of_the_gguf_package_agrees(small_gguf: Path, name: str, text: str) -> None:
    target = stamped(small_gguf, {name: text})
    reader = gguf.GGUFReader(target)
    assert reader.fields[name].contents() == text
    assert parse(target).values[name] == (STRING, text)
    tensor = next(tensor for tensor in reader.tensors if tensor.name == "blk.0.cube.weight")
    np.testing.assert_array_equal(tensor.data, some_tensors()["blk.0.cube.weight"])


def test_tensors_that_do_not_follow_one_another_are_refused(small_gguf: Path) -> None:
    content = bytearray(small_gguf.read_bytes())
    infos = content.index(b"blk.0.norm.weight") + len(b"blk.0.norm.weight")
    offset = infos + 4 + 8 + 4  # number of dimensions, one dimension, type
    content[offset : offset + 8] = (0).to_bytes(8, "little")
    small_gguf.write_bytes(content)
    with pytest.raises(CheckpointError, match="do not follow one another"):
        stamped(small_gguf)


def test_the_summary_counts_tensors_parameters_and_bytes_by_type(small_gguf: Path) -> None:
    summary = metadata.read(small_gguf)
    assert summary.size == small_gguf.stat().st_size
    assert summary.type == "Q8_0"
    assert summary.types == (
        metadata.TypeShare("F32", 2, 5 * 7 + 2 * 3 * 5, 4 * (5 * 7 + 2 * 3 * 5)),
        metadata.TypeShare("Q8_0", 1, 96, 3 * 34),
        metadata.TypeShare("F16", 1, 3, 6),
    )
    assert (summary.tensors, summary.parameters) == (4, 164)
    assert summary.bits_per_weight == 8 * (260 + 102 + 6) / 164


def test_the_summary_shows_values_and_counts_long_arrays(small_gguf: Path) -> None:
    shown = metadata.read(small_gguf).metadata
    assert shown["general.name"] == "before"
    assert shown["test.long"] == -(2**60)
    assert shown["tokenizer.ggml.add_bos_token"] is True
    assert shown["tokenizer.ggml.scores"] == [0.5, -1.25]
    assert shown["tokenizer.ggml.tokens"] == "[23 values]"
    assert not any(name.startswith("GGUF.") for name in shown)


@pytest.mark.parametrize(
    ("key", "same"), [("tokenizer.ggml.pre", False), ("tokenizer.chat_template", True), ("general.name", True)]
)
def test_a_tokenizer_is_known_by_what_cuts_text(small_gguf: Path, key: str, same: bool) -> None:
    before = metadata.tokenizer_digest(small_gguf)
    assert (metadata.tokenizer_digest(stamped(small_gguf, {key: "other"})) == before) == same


@pytest.mark.parametrize("content", [b"", b"GG", b"PK\x03\x04 and more", b"\x93NUMPY"])
def test_what_is_not_a_gguf_is_refused_with_its_first_bytes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        metadata.read(path)
    assert caught.value.where == path
    assert caught.value.found == repr(content[:4])


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        metadata.read(tmp_path / "none.gguf")


def test_a_gguf_cut_short_anywhere_in_its_header_or_data_is_refused(small_gguf: Path) -> None:
    content = small_gguf.read_bytes()
    cut = small_gguf.with_name("cut.gguf")
    for size in range(4, len(content) - 32, 7):
        cut.write_bytes(content[:size])
        with pytest.raises(CheckpointError):
            metadata.read(cut)
