"""What a tensor is, short of its numbers; and the order that tensors are written in."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
}  # fmt: skip
"""Bits per element of every dtype that safetensors 0.8 knows."""


_DIGITS = re.compile(r"(\d+)", re.ASCII)


@dataclass(frozen=True)
class TensorInfo:
    """A tensor without its numbers.

    Attributes:
        dtype: As safetensors writes it: `BF16`, `F32`.
        shape: Length of each dimension; () for a single number.
    """

    dtype: str
    shape: tuple[int, ...]

    @property
    def parameters(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that its numbers take."""
        return self.parameters * DTYPE_BITS[self.dtype] // 8

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.shape)}"


def layer_order(name: str) -> tuple[str | int, ...]:
    """Return a sort key under which layer 10 follows layer 9."""
    # Text and digits alternate, so that only like is compared with like.
    parts = _DIGITS.split(name)
    return tuple(int(part) if place % 2 else part for place, part in enumerate(parts))
