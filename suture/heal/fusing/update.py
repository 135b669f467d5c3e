"""The arithmetic of an adapter, in fp32, some rows of a tensor at a time.

W' = W + s B A                         LoRA, 2106.09685, equation 3
W' = m (W + s B A) / ||W + s B A||     DoRA, 2402.09353, equation 5: the vector of each output gets the length m
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suture.checkpoint.floats import to_float32
from suture.checkpoint.reader import Checkpoint, read_chunks
from suture.heal.fusing.adapter import Change

Matrix = NDArray[np.float32]
Vector = NDArray[np.float32]

_CHUNK_ELEMENTS = 4 * 2**20
"""Numbers in work at a time, in whole rows: about 100 MB with everything in flight."""


@dataclass(frozen=True)
class _Product:
    """What is added to a tensor of (rows, columns): `scale * left @ right`."""

    left: Matrix  # (rows, rank)
    right: Matrix  # (rank, columns)
    scale: np.float32

    def added_to(self, weights: Matrix, start: int) -> Matrix:
        """Return rows, of which `start` is the first, with the product added."""
        product: Matrix = (self.left[start : start + len(weights)] @ self.right) * self.scale
        return weights + product


def changed_rows(model: Checkpoint, adapter: Checkpoint, change: Change) -> Iterator[tuple[Matrix, Matrix]]:
    """Yield a tensor, some rows at a time: as it was, and changed.

    A vector is taken for a matrix of one column, and of a tensor of more dimensions all but the last are rows.
    """
    if change.magnitude is None:
        yield from _sums(model, adapter, change)
    elif change.is_transposed:
        squares = sum((rows.astype(np.float64) ** 2).sum(axis=0) for _, rows in _sums(model, adapter, change))
        factors = _ratio(_vector(adapter, change.magnitude), np.sqrt(squares).astype(np.float32))
        for before, rows in _sums(model, adapter, change):
            yield before, rows * factors
    else:
        magnitude, start = _vector(adapter, change.magnitude), 0
        for before, rows in _sums(model, adapter, change):
            factors = _ratio(magnitude[start : start + len(rows)], np.linalg.norm(rows, axis=1))
            yield before, rows * factors[:, None]
            start += len(rows)


def _sums(model: Checkpoint, adapter: Checkpoint, change: Change) -> Iterator[tuple[Matrix, Matrix]]:
    """Yield rows as they were, and with what takes their place and what is added to it."""
    product = _read_product(adapter, change)
    replacements = _rows(adapter, change.replacement) if change.replacement else None
    start = 0
    for before in _rows(model, change.base):
        rows = next(replacements) if replacements else before
        if change.gate != 1:
            rows = rows * np.float32(change.gate)
        yield before, product.added_to(rows, start) if product else rows
        start += len(before)


def _read_product(adapter: Checkpoint, change: Change) -> _Product | None:
    if change.left is None:
        return None
    left = _matrix(adapter, change.left)
    right = np.ones((1, 1), np.float32) if change.right is None else _matrix(adapter, change.right)
    if change.is_transposed:
        left, right = left.T, right.T
    return _Product(left, right, np.float32(change.scale))


def _ratio(magnitude: Vector, length: Vector) -> Vector:
    """Return magnitude / length; 1 where a vector has no length, and so no direction."""
    return np.divide(magnitude, length, out=np.ones_like(magnitude), where=length > 0)


def _rows(source: Checkpoint, name: str) -> Iterator[Matrix]:
    info = source.layout.tensors[name]
    width = info.shape[-1] if len(info.shape) > 1 else 1
    row_bytes = width * info.nbytes // info.parameters
    for data in read_chunks(source.extents[name], max(1, _CHUNK_ELEMENTS // width) * row_bytes):
        yield to_float32(data, info.dtype).reshape(-1, width)


def _matrix(source: Checkpoint, name: str) -> Matrix:
    return np.concatenate(list(_rows(source, name)))


def _vector(source: Checkpoint, name: str) -> Vector:
    return _matrix(source, name).reshape(-1)
