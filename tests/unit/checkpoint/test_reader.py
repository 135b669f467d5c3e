from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from suture.checkpoint.reader import Extent, count_in, count_nonfinite, open_checkpoint, read_chunks
from suture.errors import CheckpointError
from suture.progress import Silent


def raw(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


@pytest.mark.parametrize("chunk_bytes", [1, 7, 10**6])
def test_extents_are_the_tensors_bytes(folder: Path, tensors: dict[str, torch.Tensor], chunk_bytes: int) -> None:
    checkpoint = open_checkpoint(folder)
    read = {name: list(read_chunks(extent, chunk_bytes)) for name, extent in checkpoint.extents.items()}
    assert {name: b"".join(chunks) for name, chunks in read.items()} == {
        name: raw(tensor) for name, tensor in tensors.items()
    }
    assert all(len(chunk) == chunk_bytes for chunks in read.values() for chunk in chunks[:-1])


def test_a_file_that_became_shorter_is_named(folder: Path) -> None:
    extent = max(open_checkpoint(folder).extents.values(), key=lambda extent: extent.offset)
    with extent.file.open("r+b") as file:
        file.truncate(extent.offset + 1)
    with pytest.raises(CheckpointError) as caught:
        list(read_chunks(Extent(extent.file, extent.offset, 5), 4))
    assert caught.value.found == f"{extent.offset + 1} bytes"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_nan_and_infinities_are_counted_as_torch_counts(tmp_path: Path, dtype: torch.dtype) -> None:
    numbers = torch.randn(3_000_000).to(dtype)
    numbers[[5, 2_999_999]] = float("nan")
    numbers[[0, 7, 2_500_000]] = float("inf")
    numbers[9] = -float("inf")
    save_file({"a": numbers, "b": torch.full((3,), -1, dtype=torch.int64)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    found = count_nonfinite(open_checkpoint(tmp_path), Silent())
    assert (found.nan, found.inf) == (int(numbers.isnan().sum()), int(numbers.isinf().sum())) == (2, 4)


@pytest.mark.parametrize(("dtype", "name"), [(torch.bfloat16, "BF16"), (torch.float16, "F16")])
def test_every_16_bit_number_is_counted_rightly(dtype: torch.dtype, name: str) -> None:
    every = torch.arange(2**16, dtype=torch.int32).to(torch.uint16).view(dtype)
    found = count_in(raw(every), name)
    assert (found.nan, found.inf) == (int(every.isnan().sum()), 2)


def test_infinities_alone_are_counted() -> None:
    found = count_in(raw(torch.tensor([1.0, float("inf"), -float("inf")]).bfloat16()), "BF16")
    assert (found.nan, found.inf) == (0, 2)
