"""What a GGUF says of itself: reading it, and writing Suture's part of it.

    suture.key       key of the artifact that holds the file
    suture.recipe    name of the recipe; absent in a source that is measured as it came
    suture.name      name of the model in that recipe
    suture.sources   JSON: name, model, commit and licence of every source
    suture.version   version of Suture

Only the header is rewritten; the tensors' bytes are copied inside the kernel.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from suture.errors import CheckpointError
from suture.gguf.copying import copy_bytes
from suture.progress import Progress

if TYPE_CHECKING:
    from gguf import GGUFReader

KEY, RECIPE, NAME, SOURCES, VERSION = (f"suture.{part}" for part in ("key", "recipe", "name", "sources", "version"))
MAGIC = b"GGUF"

_SHOWN_ITEMS = 8
"""Longer arrays (vocabularies) are counted and not shown."""

_CUTTING = tuple(
    f"tokenizer.ggml.{part}"
    for part in (
        *("model", "pre", "tokens", "token_type", "scores", "merges"),
        *("add_bos_token", "bos_token_id", "add_space_prefix", "remove_extra_whitespaces", "precompiled_charsmap"),
    )
)
"""Keys that decide into which tokens a text is cut; the ends of answers and the chat template do not."""


@dataclass(frozen=True)
class TypeShare:
    """The tensors of one type.

    Attributes:
        type: As llama.cpp names it: `Q4_K`.
        tensors: How many tensors.
        parameters: How many numbers they hold.
        size: Bytes they take.
    """

    type: str
    tensors: int
    parameters: int
    size: int


@dataclass(frozen=True)
class Summary:
    """What a GGUF says of itself.

    Attributes:
        size: Bytes of the file.
        type: Type of the file: `Q4_K_M`, `BF16`.
        metadata: Every key but the vocabulary's long arrays, of which only the length is told.
        types: The mix of quantizations, the largest share first.
    """

    size: int
    type: str
    metadata: Mapping[str, JsonValue]
    types: tuple[TypeShare, ...]

    @property
    def tensors(self) -> int:
        """How many tensors."""
        return sum(share.tensors for share in self.types)

    @property
    def parameters(self) -> int:
        """How many numbers the tensors hold."""
        return sum(share.parameters for share in self.types)

    @property
    def bits_per_weight(self) -> float:
        """Bits of tensor data per parameter."""
        return 8 * sum(share.size for share in self.types) / self.parameters


def read(path: Path) -> Summary:
    """Read a GGUF's header.

    Raises:
        CheckpointError: When it is not a GGUF, or cut short.
    """
    reader = _open(path)
    return Summary(
        size=path.stat().st_size,
        type=_file_type(reader),
        metadata={name: _shown(field.contents()) for name, field in _fields(reader).items()},
        types=_type_shares(reader),
    )


def tokenizer_digest(path: Path) -> str:
    """Return the sha256 of all that decides into which tokens a text is cut.

    Raises:
        CheckpointError: When it is not a GGUF, or cut short.
    """
    fields = _fields(_open(path))
    cutting = {name: fields[name].contents() for name in _CUTTING if name in fields}
    return hashlib.sha256(json.dumps(cutting).encode()).hexdigest()


def stamp(source: Path, target: Path, values: Mapping[str, str], progress: Progress) -> None:
    """Write a copy of a GGUF with other metadata; its tensors' bytes are the same.

    Args:
        source: The GGUF.
        target: The copy; the same source and values give the same bytes.
        values: Keys to set, in this order after those that are there already. Empty values are left out.
        progress: Gets the bytes copied.

    Raises:
        CheckpointError: When `source` is not a GGUF.
    """
    reader = _open(source)
    alignment = int(reader.alignment)
    _write_header(reader, target, values, source)
    with source.open("rb") as read_from, target.open("r+b") as write_to:
        header_end = write_to.seek(0, os.SEEK_END)
        write_to.truncate(header_end + -header_end % alignment)
        write_to.seek(0, os.SEEK_END)
        copy_bytes(
            read_from.fileno(),
            write_to.fileno(),
            int(reader.data_offset),
            lambda done, total: progress.update(done, total, "bytes"),
        )


def require_gguf(path: Path) -> None:
    """Check that a file begins as every GGUF does.

    Raises:
        CheckpointError: When it does not, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            found = file.read(len(MAGIC))
    except OSError as error:
        raise CheckpointError("A GGUF cannot be read.", where=path, found=error.strerror) from error
    if found != MAGIC:
        raise CheckpointError("This is not a GGUF.", where=path, expected=f"first bytes {MAGIC!r}", found=repr(found))


def _open(path: Path) -> GGUFReader:
    from suture.gguf.reader import Reader

    require_gguf(path)
    try:
        return Reader(path)
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise CheckpointError(
            "The GGUF's header cannot be read.", where=path, found=str(error), way_out="Is the file complete?"
        ) from error


def _fields(reader: GGUFReader) -> dict[str, Any]:
    """Return the file's own keys; the reader adds its counts as `GGUF.*`."""
    return {name: field for name, field in reader.fields.items() if not name.startswith("GGUF.")}


def _write_header(reader: GGUFReader, target: Path, values: Mapping[str, str], source: Path) -> None:
    from gguf import GGUFValueType, GGUFWriter

    fields = _fields(reader)
    writer = GGUFWriter(target, fields["general.architecture"].contents(), endianess=reader.endianess)
    writer.data_alignment = int(reader.alignment)
    for name, field in fields.items():
        if name not in values and name != "general.architecture":  # which the writer put first
            sub_type = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
            writer.add_key_value(name, field.contents(), field.types[0], sub_type)
    for name, value in values.items():
        if value:
            writer.add_key_value(name, value, GGUFValueType.STRING)
    _require_consecutive(reader, source)
    for tensor in reader.tensors:
        data = tensor.data
        writer.add_tensor_info(tensor.name, data.shape, data.dtype, data.nbytes, tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()


def _require_consecutive(reader: GGUFReader, source: Path) -> None:
    """Check that the tensors' data lies in the order of their names, as the copy's header will say."""
    expected, alignment = int(reader.data_offset), int(reader.alignment)
    for tensor in reader.tensors:
        if tensor.data_offset != expected:
            raise CheckpointError(
                "The GGUF's tensors do not follow one another.",
                where=source,
                expected=f"{tensor.name} at byte {expected}",
                found=f"at byte {tensor.data_offset}",
            )
        expected += tensor.n_bytes + -tensor.n_bytes % alignment


def _file_type(reader: GGUFReader) -> str:
    from gguf import LlamaFileType

    field = reader.get_field("general.file_type")
    if field is None:
        return "unknown"
    names = {type_.value: type_.name for type_ in LlamaFileType}
    number = field.contents()
    return names.get(number, f"type {number}").removeprefix("MOSTLY_").removeprefix("ALL_")


def _type_shares(reader: GGUFReader) -> tuple[TypeShare, ...]:
    tensors: Counter[str] = Counter()
    parameters: Counter[str] = Counter()
    size: Counter[str] = Counter()
    for tensor in reader.tensors:
        name = tensor.tensor_type.name
        tensors[name] += 1
        parameters[name] += int(tensor.n_elements)
        size[name] += int(tensor.n_bytes)
    return tuple(TypeShare(name, tensors[name], parameters[name], taken) for name, taken in size.most_common())


def _shown(value: JsonValue) -> JsonValue:
    return f"[{len(value)} values]" if isinstance(value, list) and len(value) > _SHOWN_ITEMS else value
