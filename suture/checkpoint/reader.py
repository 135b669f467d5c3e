"""Where each tensor's bytes lie, and how they are read: in chunks with pread.

Never by mmap: the page cache it maps counts as this process's memory, 4 GB for a 4 GB model.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from suture.checkpoint.header import Header, read_header
from suture.checkpoint.layout import Layout, layout_of
from suture.checkpoint.shards import read_shards
from suture.errors import CheckpointError
from suture.progress import Progress

_COUNTING_CHUNK = 4 * 2**20  # bytes

_BITS = {"BF16": (np.uint16, 0x7F80), "F16": (np.uint16, 0x7C00), "F32": (np.uint32, 0x7F800000)}
"""dtype -> an integer as wide, and the exponent's bits: all set in infinities (no other bit) and NaN (others too)."""


@dataclass(frozen=True)
class Extent:
    """A run of bytes in a file."""

    file: Path
    offset: int
    length: int


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on this disk.

    Attributes:
        folder: Where it is.
        layout: What it holds.
        extents: Where each tensor's bytes lie.
    """

    folder: Path
    layout: Layout
    extents: Mapping[str, Extent]


@dataclass(frozen=True)
class NonFinite:
    """How many of a checkpoint's bf16, f16 and f32 numbers are none."""

    nan: int
    inf: int


def open_checkpoint(folder: Path) -> Checkpoint:
    """Read and check a checkpoint's config, index and headers.

    Raises:
        SourceError: When the folder holds no checkpoint that can be used.
        CheckpointError: When one of these files is malformed.
    """
    shards = read_shards(folder)
    extents: dict[str, Extent] = {}
    for file, header in shards.items():
        extents |= _extents(folder / file, header)
    return Checkpoint(folder, layout_of(folder, shards), extents)


def read_extents(file: Path) -> dict[str, Extent]:
    """Return where the tensors of one file lie.

    Raises:
        CheckpointError: When its header is malformed.
    """
    return _extents(file, read_header(file))


def read_chunks(extent: Extent, chunk_bytes: int) -> Iterator[bytes]:
    """Yield an extent's bytes in chunks.

    Raises:
        CheckpointError: When the file ends before the extent does.
    """
    descriptor = os.open(extent.file, os.O_RDONLY)
    try:
        for begin in range(0, extent.length, chunk_bytes):
            length = min(chunk_bytes, extent.length - begin)
            yield pread_exactly(descriptor, Extent(extent.file, extent.offset + begin, length))
    finally:
        os.close(descriptor)


def pread_exactly(descriptor: int, extent: Extent) -> bytes:
    """Read all of an extent; a signal or a network disk may hand it out in pieces.

    Raises:
        CheckpointError: When the file ends before the extent does.
    """
    data = os.pread(descriptor, extent.length, extent.offset)
    while len(data) < extent.length:
        more = os.pread(descriptor, extent.length - len(data), extent.offset + len(data))
        if not more:
            check_length(extent.offset + len(data), extent)
        data += more
    return data


def check_length(size: int, extent: Extent) -> None:
    """Refuse a file that ends before the extent does.

    Raises:
        CheckpointError: With the bytes needed and found.
    """
    if size < extent.offset + extent.length:
        raise CheckpointError(
            "A file became shorter after its header was read.",
            where=extent.file,
            expected=f"at least {extent.offset + extent.length} bytes",
            found=f"{size} bytes",
        )


def count_nonfinite(checkpoint: Checkpoint, progress: Progress) -> NonFinite:
    """Read all tensors once and count NaN and infinities among their bf16, f16 and f32 numbers."""
    found = nonfinite_by_tensor(checkpoint, progress).values()
    return NonFinite(sum(each.nan for each in found), sum(each.inf for each in found))


def nonfinite_by_tensor(checkpoint: Checkpoint, progress: Progress) -> dict[str, NonFinite]:
    """Read all tensors once; return how many NaN and infinities there are in each that has any."""
    found: dict[str, NonFinite] = {}
    done = 0
    for name, info in checkpoint.layout.tensors.items():
        nan = inf = 0
        for chunk in read_chunks(checkpoint.extents[name], _COUNTING_CHUNK):
            counted = count_in(chunk, info.dtype)
            nan, inf, done = nan + counted.nan, inf + counted.inf, done + len(chunk)
            progress.update(done, checkpoint.layout.size, "bytes")
        if nan or inf:
            found[name] = NonFinite(nan, inf)
    return found


def count_in(chunk: bytes, dtype: str) -> NonFinite:
    """Count NaN and infinities in some numbers' bytes; none in dtypes other than bf16, f16 and f32."""
    if dtype not in _BITS or not chunk:
        return NonFinite(0, 0)
    unsigned, exponent = _BITS[dtype]
    magnitude = np.frombuffer(chunk, unsigned) & unsigned(np.iinfo(unsigned).max >> 1)  # without the sign's bit
    if magnitude.max() < exponent:
        return NonFinite(0, 0)
    return NonFinite(
        nan=int(np.count_nonzero(magnitude > exponent)), inf=int(np.count_nonzero(magnitude == exponent))
    )


def _extents(path: Path, header: Header) -> dict[str, Extent]:
    return {name: Extent(path, start, header.tensors[name].nbytes) for name, start in header.starts.items()}
