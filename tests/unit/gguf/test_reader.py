from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGUFReader, GGUFValueType

from suture.gguf.reader import Reader
from tests.unit.gguf.plain_gguf import parse, write_gguf

ARRAYS: dict[str, tuple[list[object], GGUFValueType]] = {
    "texts": (["", "one", "Ġ ü", "x" * 300], GGUFValueType.STRING),
    "bytes": ([0, 255], GGUFValueType.UINT8),
    "longs": ([-(2**60), 7], GGUFValueType.INT64),
    "fractions": ([0.5, -1.25, 1e30], GGUFValueType.FLOAT32),
    "truths": ([True, False, True], GGUFValueType.BOOL),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A GGUF with an array of every sort, a value after them, and a tensor."""
    writer = gguf.GGUFWriter(tmp_path / "arrays.gguf", "llama")
    for name, (values, kind) in ARRAYS.items():
        writer.add_key_value(name, values, GGUFValueType.ARRAY, kind)
    writer.add_uint32("after", 7)
    writer.add_tensor("weight", np.arange(6, dtype=np.float32).reshape(2, 3))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tmp_path / "arrays.gguf"


def test_arrays_are_what_was_written(file: Path) -> None:
    fields = Reader(file).fields
    for name, (values, kind) in ARRAYS.items():
        assert fields[name].contents() == pytest.approx(values) if kind == GGUFValueType.FLOAT32 else values
        assert fields[name].types == [GGUFValueType.ARRAY, kind]
    assert fields["after"].contents() == 7


@pytest.mark.parametrize("alignment", [32, 64])
def test_everything_is_as_gguf_py_reads_it(tmp_path: Path, file: Path, alignment: int) -> None:
    for path in (file, write_gguf(tmp_path / "small.gguf", alignment=alignment)):
        ours, theirs = Reader(path), GGUFReader(path)
        assert {name: field.contents() for name, field in ours.fields.items()} == {
            name: field.contents() for name, field in theirs.fields.items()
        }
        assert (ours.data_offset, ours.alignment) == (theirs.data_offset, theirs.alignment)
        for tensor, other in zip(ours.tensors, theirs.tensors, strict=True):
            assert (tensor.name, tensor.data_offset) == (other.name, other.data_offset)
            assert np.array_equal(tensor.data, other.data)
        assert (
            ours.fields.keys() - {"GGUF.version", "GGUF.tensor_count", "GGUF.kv_count"} == parse(path).values.keys()
        )


@pytest.mark.parametrize("name", ["texts", "longs"])
def test_an_array_that_goes_past_the_end_is_refused(file: Path, name: str) -> None:
    start = Reader(file).fields[name].offset
    content = file.read_bytes()
    file.write_bytes(content[: content.index(name.encode(), start) + len(name) + 4 + 4 + 8 + 8])
    with pytest.raises(ValueError, match="past the file's end"):
        Reader(file)
