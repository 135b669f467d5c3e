"""Inner products of one tensor's models, and linear combinations of them.

Several methods are linear combinations whose coefficients depend on lengths and angles alone. All of these are in the
Gram matrix: G[i, j] = <v_i, v_j>, where v_i is the task vector of model i if there is a base, else the model itself.
No BLAS: how it splits a sum depends on its threads, and the bytes of a merge must not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from suture.merge.stream import Chunk, Combine, Floats, Inputs

Doubles = NDArray[np.float64]

BLOCK = 4096
"""Products at most that are added in fp32, in several lanes; such sums are added in fp64."""


def gram(inputs: Inputs) -> Doubles:
    """Return the Gram matrix of whole tensors: (s, s)."""
    return inputs.total(lambda chunk: _symmetric(chunk.vectors, _dot))


def row_gram(chunk: Chunk, columns: int) -> Doubles:
    """Return the Gram matrix of each row of a chunk that holds whole rows: (s, s, rows)."""
    return _symmetric(as_rows(chunk, columns).vectors, _row_dots)


def column_gram(inputs: Inputs) -> Doubles:
    """Return the Gram matrix of each column, for chunks that hold whole rows: (s, s, columns)."""
    return inputs.total(lambda chunk: _symmetric(as_rows(chunk, inputs.columns).vectors, _column_dots))


def as_rows(chunk: Chunk, columns: int) -> Chunk:
    """Return a chunk of whole rows with arrays of (rows, columns)."""
    base = None if chunk.base is None else chunk.base.reshape(-1, columns)
    return replace(chunk, models=tuple(model.reshape(-1, columns) for model in chunk.models), base=base)


def combination(coefficients: Sequence[float] | Doubles) -> Combine:
    """Return what computes sum(c_i * v_i), plus the base if there is one: the v_i are task vectors then.

    Args:
        coefficients: One per model; or (s, columns) or (s, rows, 1) to go with chunks as rows.
    """
    factors = np.asarray(coefficients, np.float64).astype(np.float32)

    def combine(chunk: Chunk) -> Floats:
        total = np.empty_like(chunk.models[0])
        scratch = np.empty_like(total)
        for number, (model, factor) in enumerate(zip(chunk.models, factors, strict=True)):
            term = scratch if number else total
            if chunk.base is None:
                np.multiply(model, factor, out=term)
            else:
                np.subtract(model, chunk.base, out=term)
                term *= factor
            if number:
                total += term
        if chunk.base is not None:
            total += chunk.base
        return total

    return combine


def _symmetric(vectors: Sequence[Floats], product: Callable[[Floats, Floats], Doubles]) -> Doubles:
    upper = {(i, j): product(vectors[i], vectors[j]) for i in range(len(vectors)) for j in range(i, len(vectors))}
    count = range(len(vectors))
    return np.array([[upper[min(i, j), max(i, j)] for j in count] for i in count], np.float64)


def _dot(first: Floats, second: Floats) -> Doubles:
    whole = len(first) // BLOCK * BLOCK
    blocks = np.einsum("ij,ij->i", first[:whole].reshape(-1, BLOCK), second[:whole].reshape(-1, BLOCK))
    rest = np.einsum("i,i->", first[whole:], second[whole:])
    return np.asarray(np.sum(blocks, dtype=np.float64) + np.float64(rest))


def _row_dots(first: Floats, second: Floats) -> Doubles:
    """Return the inner products of rows: two of (rows, columns) to (rows,)."""
    total = np.zeros(len(first))
    for start in range(0, first.shape[1], BLOCK):
        columns = slice(start, start + BLOCK)
        total += np.einsum("ij,ij->i", first[:, columns], second[:, columns])
    return total


def _column_dots(first: Floats, second: Floats) -> Doubles:
    """Return the inner products of columns: two of (rows, columns) to (columns,)."""
    return np.add.reduce(first * second, axis=0, dtype=np.float64)
