from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file

from suture.checkpoint import writer
from suture.checkpoint.layout import read_layout
from suture.checkpoint.reader import Extent, open_checkpoint
from suture.checkpoint.tensors import TensorInfo
from suture.checkpoint.writer import OutputTensor, deal_out, write_checkpoint
from suture.errors import CheckpointError
from suture.progress import Silent


class Recorder(Silent):
    def __init__(self) -> None:
        self.rows: list[tuple[float, float, str]] = []

    def update(self, done: float, total: float, unit: str) -> None:
        self.rows.append((done, total, unit))


def copies(folder: Path) -> list[OutputTensor]:
    checkpoint = open_checkpoint(folder)
    return [
        OutputTensor(name, info.dtype, info.shape, checkpoint.extents[name])
        for name, info in checkpoint.layout.tensors.items()
    ]


def load_all(folder: Path) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = {}
    for file in folder.glob("*.safetensors"):
        loaded |= load_file(file)
    return loaded


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert found[name].view(torch.uint8).equal(tensor.view(torch.uint8)), name


@pytest.fixture
def out(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.mkdir()
    return path


def test_a_file_is_these_literal_bytes(out: Path, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"..ABCD")
    tensors = [
        OutputTensor("half", "BF16", (2,), Extent(tmp_path / "source", 2, 4)),
        OutputTensor("whole", "F32", (1, 1), lambda: [b"12", b"", b"34"]),
    ]
    assert write_checkpoint(out, tensors, 100, Silent()) == ("model.safetensors",)
    text = (
        b'{"__metadata__":{"format":"pt"},'
        b'"whole":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},'
        b'"half":{"dtype":"BF16","shape":[2],"data_offsets":[4,8]}}'
    )
    text += b" " * (-len(text) % 8)
    raw = (out / "model.safetensors").read_bytes()
    assert raw == len(text).to_bytes(8, "little") + text + b"1234ABCD"
    assert [path.name for path in out.iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize("shard_bytes", [1, 31, 60, 10**9])
def test_copies_are_bit_identical(
    folder: Path, out: Path, tensors: dict[str, torch.Tensor], shard_bytes: int
) -> None:
    files = write_checkpoint(out, copies(folder), shard_bytes, Silent())
    assert set(files) == {path.name for path in out.iterdir()}
    assert_same(load_all(out), tensors)


def test_shards_and_index_are_as_on_the_hub(folder: Path, out: Path, tensors: dict[str, torch.Tensor]) -> None:
    files = write_checkpoint(out, copies(folder), 60, Silent())
    shards = [name for name in files if name.endswith(".safetensors")]
    assert shards == [f"model-{number:05}-of-{len(shards):05}.safetensors" for number in range(1, len(shards) + 1)]
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in tensors.values())
    for file in shards:
        with safe_open(out / file, "pt") as shard:
            assert {name for name, held in index["weight_map"].items() if held == file} == set(shard.keys())
            assert shard.metadata() == {"format": "pt"}
    (out / "config.json").write_text("{}")
    assert read_layout(out).tensors.keys() == tensors.keys()


def test_every_tensor_begins_where_its_dtype_may(folder: Path, out: Path) -> None:
    odd = OutputTensor("odd", "U8", (3,), lambda: [b"abc"])
    write_checkpoint(out, [odd, *copies(folder)], 10**9, Silent())
    (out / "config.json").write_text("{}")
    checkpoint = open_checkpoint(out)
    for name, extent in checkpoint.extents.items():
        size = {"U8": 1, "F16": 2, "BF16": 2, "F32": 4}[checkpoint.layout.tensors[name].dtype]
        assert extent.offset % size == 0


@pytest.mark.parametrize("threads", [2, 5])
def test_files_copied_at_once_are_those_copied_in_turn(folder: Path, out: Path, threads: int, tmp_path: Path) -> None:
    computed = OutputTensor("between", "U8", (3,), lambda: [b"a", b"bc"])
    first, *others = copies(folder)
    tensors = [first, computed, *others]
    alone = tmp_path / "alone"
    alone.mkdir()
    assert write_checkpoint(alone, tensors, 60, Silent()) == write_checkpoint(
        out, tensors, 60, progress := Recorder(), threads=threads
    )
    assert {path.name: path.read_bytes() for path in alone.iterdir()} == {
        path.name: path.read_bytes() for path in out.iterdir()
    }
    assert [row[0] for row in progress.rows] == sorted(row[0] for row in progress.rows)


def test_what_fails_in_one_file_stops_the_others(folder: Path, out: Path) -> None:
    missing = OutputTensor("missing", "U8", (3,), Extent(folder / "gone", 0, 3))
    with pytest.raises(FileNotFoundError):
        write_checkpoint(out, [missing, *copies(folder)], 1, Silent(), threads=2)
    assert not (out / "model.safetensors.index.json").exists()


def test_progress_counts_every_byte(folder: Path, out: Path, tensors: dict[str, torch.Tensor]) -> None:
    total = sum(tensor.nbytes for tensor in tensors.values())
    progress = Recorder()
    write_checkpoint(out, copies(folder), 60, progress)
    done = [row[0] for row in progress.rows]
    assert done == sorted(done)
    assert progress.rows[-1] == (total, total, "bytes")


@pytest.mark.parametrize("number", [errno.EXDEV, errno.ENOSYS, errno.EINVAL, None])
def test_where_the_kernel_does_not_copy_the_bytes_are_read_and_written(
    folder: Path, out: Path, tensors: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    def refuse(*_: object) -> int:
        if number is None:
            return 0  # some network file systems
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "copy_file_range", refuse)
    monkeypatch.setattr(writer, "_USER_CHUNK", 7)
    write_checkpoint(out, copies(folder), 60, Silent())
    assert_same(load_all(out), tensors)


def test_a_kernel_that_copies_in_pieces(
    folder: Path, out: Path, tensors: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_KERNEL_CHUNK", 5)
    write_checkpoint(out, copies(folder), 60, Silent())
    assert_same(load_all(out), tensors)


def test_a_full_disk_is_not_taken_for_a_kernel_that_cannot(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "copy_file_range", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_checkpoint(out, copies(folder), 60, Silent())


def test_another_file_system_is_another_device(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    memory = Path("/dev/shm")  # noqa: S108 -- tmpfs on every Linux; a private folder is made in it
    if memory.stat().st_dev == folder.stat().st_dev:
        pytest.skip("needs a second file system")
    out = memory / f"suture-test-{os.getpid()}"
    out.mkdir()
    try:
        write_checkpoint(out, copies(folder), 60, Silent())
        assert_same(load_all(out), tensors)
    finally:
        for path in out.iterdir():
            path.unlink()
        out.rmdir()


def test_holes_stay_holes(out: Path, tmp_path: Path) -> None:
    source = tmp_path / "sparse"
    size = 64 * 2**20
    with source.open("wb") as file:
        file.truncate(size)
        file.seek(20 * 2**20)
        file.write(b"data in the middle")
    offset = 12_345  # so that the source's blocks and the target's do not fall together
    extent = Extent(source, offset, size - offset)
    progress = Recorder()
    write_checkpoint(out, [OutputTensor("w", "U8", (size - offset,), extent)], 10**9, progress)
    written = out / "model.safetensors"
    assert written.read_bytes().endswith(source.read_bytes()[offset:])
    assert written.stat().st_blocks * 512 < 2**20
    assert progress.rows[-1][0] == size - offset


def test_a_source_that_became_shorter_is_named(folder: Path, out: Path) -> None:
    tensors = copies(folder)
    shard = folder / "model-00001-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-3])
    with pytest.raises(CheckpointError) as caught:
        write_checkpoint(out, tensors, 10**9, Silent())
    assert caught.value.where == shard


@pytest.mark.parametrize("chunks", [[b"123"], [b"1234", b"5"], []])
def test_a_computed_tensor_must_have_its_size(out: Path, chunks: list[bytes]) -> None:
    with pytest.raises(ValueError, match="w: "):
        write_checkpoint(out, [OutputTensor("w", "F32", (1,), lambda: chunks)], 100, Silent())


@given(st.lists(st.integers(0, 20), min_size=1), st.integers(1, 30))
def test_tensors_are_dealt_out_greedily_in_order(sizes: list[int], shard_bytes: int) -> None:
    tensors = {f"t{number}": TensorInfo("U8", (size,)) for number, size in enumerate(sizes)}
    shards = list(deal_out(tensors, shard_bytes).values())
    assert [name for names in shards for name in names] == list(tensors)
    assert all(shards)
    filled = [sum(tensors[name].nbytes for name in names) for names in shards]
    assert all(size <= shard_bytes or len(names) == 1 for size, names in zip(filled, shards, strict=True))
    for before, names in zip(filled, shards[1:], strict=False):  # the next tensor really did not fit
        assert before + tensors[names[0]].nbytes > shard_bytes


@pytest.mark.parametrize(("offset", "start"), [(1000, 1000), (8192, None), (1001, None)])
def test_copies_lie_in_a_page_as_their_sources_do(out: Path, tmp_path: Path, offset: int, start: int | None) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(offset + 9000))
    tensors = [
        OutputTensor("small", "F64", (1,), lambda: [bytes(8)]),
        OutputTensor("large", "U8", (8992,), Extent(source, offset + 8, 8992)),
    ]
    write_checkpoint(out, tensors, 10**9, Silent())
    raw = (out / "model.safetensors").read_bytes()
    length = 8 + int.from_bytes(raw[:8], "little")
    assert (length % 4096 == start) if start else (length % 8 == 0 and length < 300)
    assert_same(
        load_all(out),
        {
            "small": torch.zeros(1, dtype=torch.float64),
            "large": torch.frombuffer(bytearray(source.read_bytes()[offset + 8 :]), dtype=torch.uint8),
        },
    )
