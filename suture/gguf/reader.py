"""Reading a GGUF's header, its vocabulary in a second.

gguf-py's own reader makes several arrays for each token and each merge: 16 s for the 750,000 of Qwen3.5, and a run
opens every file a few times.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from gguf import GGUFReader, GGUFValueType

_TYPE_AND_LENGTH = 4 + 8  # bytes before an array's values


class Reader(GGUFReader):
    """gguf-py's reader, but for arrays: these are read at once."""

    def _get_field_parts(
        self, orig_offs: int, raw_type: int
    ) -> tuple[int, list[Any], list[int], list[GGUFValueType]]:
        """Return bytes taken, parts, which of the parts are values, and types; for an array of numbers one part."""
        if GGUFValueType(raw_type) != GGUFValueType.ARRAY or self.byte_order == "S":
            return super()._get_field_parts(orig_offs, raw_type)
        head = [self._get(orig_offs, np.uint32), self._get(orig_offs + 4, np.uint64)]
        kind, count = GGUFValueType(int(head[0][0])), int(head[1][0])
        start = orig_offs + _TYPE_AND_LENGTH
        if kind == GGUFValueType.ARRAY:
            return super()._get_field_parts(orig_offs, raw_type)
        values = self._strings(start, count) if kind == GGUFValueType.STRING else [self._numbers(start, kind, count)]
        taken = sum(part.nbytes for part in values) + (8 * count if kind == GGUFValueType.STRING else 0)
        places = range(len(head), len(head) + len(values))
        return _TYPE_AND_LENGTH + taken, [*head, *values], [*places], [GGUFValueType.ARRAY, kind]

    def _numbers(self, start: int, kind: GGUFValueType, count: int) -> Any:  # noqa: ANN401 -- an array of that kind
        values = self._get(start, self.gguf_scalar_to_np[kind], count)
        if len(values) < count:
            msg = f"an array of {count} numbers goes past the file's end"
            raise ValueError(msg)
        return values

    def _strings(self, start: int, count: int) -> list[Any]:
        data, length = np.asarray(self.data), struct.Struct("=Q")  # slices of a memory map are slow to make
        view, size = data.data, len(data)
        values: list[Any] = []
        for _ in range(count):
            begin = start + length.size
            start = begin + length.unpack_from(view, start)[0] if begin <= size else begin
            if start > size:
                msg = f"an array of {count} texts goes past the file's end"
                raise ValueError(msg)
            values.append(data[begin:start])
        return values
