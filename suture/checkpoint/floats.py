"""Bytes of bf16, f16 and f32 to numbers for arithmetic, and back with one rounding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FLOATS = ("BF16", "F16", "F32")
"""The dtypes that arithmetic is done for."""


def to_float32(data: bytes, dtype: str) -> NDArray[np.float32]:
    """Return numbers as fp32, which holds every bf16 and f16 exactly.

    Args:
        data: Their bytes.
        dtype: One of FLOATS.
    """
    match dtype:
        case "BF16":  # the upper half of an fp32
            bits = np.frombuffer(data, np.uint16).astype(np.uint32)
            bits <<= 16
            return bits.view(np.float32)
        case "F16":
            return np.frombuffer(data, np.float16).astype(np.float32)
        case "F32":
            return np.frombuffer(data, np.float32)
        case _:
            raise ValueError(dtype)


def from_float32(values: NDArray[np.float32], dtype: str) -> bytes:
    """Return the bytes of fp32 numbers in another dtype, rounded to nearest, ties to even; NaN stays NaN.

    Args:
        values: The numbers.
        dtype: One of FLOATS.
    """
    match dtype:
        case "BF16":
            return _round_to_bf16(values).tobytes()
        case "F16":
            with np.errstate(over="ignore"):  # beyond 65,504 is infinity, as IEEE 754 has it
                return values.astype(np.float16).tobytes()
        case "F32":
            return values.tobytes()
        case _:
            raise ValueError(dtype)


def _round_to_bf16(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    bits = np.ascontiguousarray(values).view(np.uint32)
    # Adding just under half of the last place kept, and 1 more if that place is odd, carries where rounding is up.
    rounded = bits >> 16
    rounded &= 1
    rounded += np.uint32(0x7FFF)
    rounded += bits
    rounded >>= 16
    upper = rounded.astype(np.uint16)
    with np.errstate(all="ignore"):
        may_hold_nan = not np.isfinite(values.sum())  # one quick pass
    if may_hold_nan:
        # The carry would turn some NaN into infinity or zero: they keep their upper half, with the quiet bit set.
        is_nan = (bits & 0x7FFFFFFF) > 0x7F800000
        upper[is_nan] = (bits[is_nan] >> 16) | 0x40
    return upper
