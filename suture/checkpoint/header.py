"""One safetensors file's header: read, and checked before anything in it is believed.

The format: 8 bytes with the header's length (little endian); the header, a JSON object: name -> dtype, shape and
offsets (first byte, byte after the last); then the tensors' bytes, one after the other, to the end of the file.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from pydantic import JsonValue

from suture.checkpoint.strict_json import check_json_size, parse_json_object
from suture.checkpoint.tensors import DTYPE_BITS, TensorInfo
from suture.errors import CheckpointError

LENGTH_BYTES = 8
MAX_TENSORS = 100_000
"""Per file. The largest models hold about 150,000 tensors, in more than 60 files."""
_MAX_DIMENSIONS = 16
_MAX_NAME = 1000  # characters
_FETCH_AGAIN = "The file is damaged or was not fetched to its end: fetch it again."
_POINTER = b"version "  # how the texts begin that git leaves in place of large files
_DISGUISED = {
    b"GGUF": "a GGUF",
    b"PK\3\4": "a zip archive, as PyTorch's pickles are",
    **{b"\x80%c" % version: "a pickle, which can run code" for version in range(2, 6)},
    b"\x1f\x8b": "a gzip archive",
    b"<": "a web page",
}
"""How other kinds of files begin. Read as a length, it is longer than the file: safetensors may begin so too."""


@dataclass(frozen=True)
class Header:
    """What one file says of itself.

    Attributes:
        tensors: Every tensor of the file.
        starts: Where each tensor's first byte lies, counted from the file's beginning.
    """

    tensors: Mapping[str, TensorInfo]
    starts: Mapping[str, int]


def read_header(path: Path) -> Header:
    """Read and check a file's header.

    Raises:
        CheckpointError: When the file is cut short, or its header is malformed.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = header_length(file.read(LENGTH_BYTES), size, path)
            content = file.read(length)
    except OSError as error:
        raise CheckpointError("A safetensors file cannot be read.", where=path, found=error.strerror) from error
    return parse_header(content, size, path)


def header_length(prefix: bytes, file_bytes: int, where: str | Path) -> int:
    """Return how many bytes of header follow a file's first 8 bytes.

    Args:
        prefix: The file's first 8 bytes; fewer if it is shorter.
        file_bytes: Size of the whole file.
        where: What errors call it.

    Raises:
        CheckpointError: When the file ends before its header does, or the header is too large.
    """
    if prefix == _POINTER:
        raise CheckpointError(
            "This is not the file itself, but what git keeps in its place.",
            where=where,
            expected="a safetensors file",
            found="a pointer to it",
            way_out="Fetch the files: `git lfs pull` in the model's folder.",
        )
    length = int.from_bytes(prefix, "little")
    if len(prefix) == LENGTH_BYTES and file_bytes - LENGTH_BYTES >= length:
        check_json_size(length, where)
        return length
    for start, kind in _DISGUISED.items():
        if prefix.startswith(start):
            raise CheckpointError(
                "A file is named like safetensors, and is something else.",
                where=where,
                expected="a safetensors file",
                found=kind,
            )
    raise CheckpointError(
        "A safetensors file ends before its header does.",
        where=where,
        expected=f"at least {LENGTH_BYTES + (length if len(prefix) == LENGTH_BYTES else 0)} bytes",
        found=f"{file_bytes} bytes",
        way_out=_FETCH_AGAIN,
    )


def parse_header(content: bytes, file_bytes: int, where: str | Path) -> Header:
    """Check a header against the size of its file.

    Args:
        content: The header's JSON, without the 8 bytes of its length.
        file_bytes: Size of the whole file.
        where: What errors call it.

    Raises:
        CheckpointError: When it is malformed, or does not cover the file's bytes exactly.
    """
    if not content.startswith(b"{"):
        raise CheckpointError("A header is not a JSON object.", where=where, found=ascii(content[:20]))
    table = parse_json_object(content, where)
    metadata = table.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(_is_text(text) for pair in metadata.items() for text in pair):
        raise CheckpointError("A header's metadata is malformed.", where=where, expected="texts by name")
    if len(table) > MAX_TENSORS:
        raise CheckpointError(
            "A header names too many tensors.", where=where, expected=f"at most {MAX_TENSORS}", found=len(table)
        )
    tensors: dict[str, TensorInfo] = {}
    spans: dict[str, tuple[int, int]] = {}
    for name, entry in table.items():
        check_tensor_name(name, where)
        tensors[name], spans[name] = _parse_entry(name, entry, where)
    start = LENGTH_BYTES + len(content)
    _check_cover(spans, file_bytes - start, start, where)
    return Header(tensors, {name: start + begin for name, (begin, _) in spans.items()})


def check_tensor_name(name: str, where: str | Path) -> None:
    """Refuse names that could do harm as a file name, in a terminal or in C.

    Raises:
        CheckpointError: For an empty or endless name, `..`, NUL, control characters, lone surrogates.
    """
    if not 0 < len(name) <= _MAX_NAME or ".." in name or not name.isprintable():
        raise CheckpointError(
            "A tensor has a name that is not allowed.",
            where=where,
            expected=f"1 to {_MAX_NAME} printable characters, without `..`",
            found=_shorten(ascii(name)),
        )


def _parse_entry(name: str, entry: JsonValue, where: str | Path) -> tuple[TensorInfo, tuple[int, int]]:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise _malformed(name, where, "dtype, shape and data_offsets", entry)
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise _malformed(name, where, f"a dtype out of {', '.join(DTYPE_BITS)}", dtype)
    if not _are_sizes(shape) or len(shape) > _MAX_DIMENSIONS:
        raise _malformed(name, where, f"a shape of at most {_MAX_DIMENSIONS} sizes", shape)
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _malformed(name, where, "two data_offsets, the first not after the second", offsets)
    info = TensorInfo(dtype, tuple(shape))
    if math.prod(size for size in shape if size) >= 2**63:  # readers in C count on the way, before they meet the 0
        raise _malformed(name, where, "a shape of fewer than 2^63 numbers", shape)
    bits, begin, end = info.parameters * DTYPE_BITS[dtype], offsets[0], offsets[1]
    if bits != 8 * (end - begin):
        raise _malformed(name, where, f"{info} to take {bits / 8:g} bytes", f"{end - begin} bytes")
    return info, (begin, end)


def _check_cover(spans: Mapping[str, tuple[int, int]], data_bytes: int, start: int, where: str | Path) -> None:
    """Refuse a file whose tensors leave a hole, overlap, or end elsewhere than the file."""
    position = 0
    for name, (begin, end) in sorted(spans.items(), key=lambda item: item[1]):
        if begin != position:
            raise _malformed(name, where, f"its bytes to begin at {position}, after the tensor before it", begin)
        position = end
    if position != data_bytes:
        raise CheckpointError(
            "A safetensors file is cut short." if data_bytes < position else "A safetensors file has surplus bytes.",
            where=where,
            expected=f"{start + position} bytes",
            found=f"{start + data_bytes} bytes",
            way_out=_FETCH_AGAIN,
        )


def _is_text(value: JsonValue) -> bool:
    """Return whether a value is a text that can be written down: JSON can name half a character."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def _are_sizes(value: JsonValue) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(size) is int and 0 <= size < 2**63 for size in value)


def _malformed(name: str, where: str | Path, expected: str, found: object) -> CheckpointError:
    problem = f"The header's entry {_shorten(name)!r} is malformed."
    return CheckpointError(problem, where=where, expected=expected, found=_shorten(ascii(found)))


def _shorten(text: str) -> str:
    return text if len(text) < 200 else f"{text[:200]}..."
