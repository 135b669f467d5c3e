"""Model Stock: how far to go from the base to the models' mean, told by the angles between their task vectors."""

from __future__ import annotations

import numpy as np

from suture.merge.methods.gram import Doubles, as_rows, combination, gram, row_gram
from suture.merge.methods.task_vectors import Dialect
from suture.merge.stream import Chunk, Combine, Floats, Inputs

_LEAST_PRODUCT = 1e-6
"""Least product of two lengths by which mergekit divides."""


def model_stock(inputs: Inputs, *, filter_wise: bool, dialect: Dialect) -> Combine:
    """Return base + t * (mean(x_i) - base), with t = s cos / (1 + (s - 1) cos).

    Jang et al. 2024, Model Stock (arXiv 2403.19522), for s fine-tuned models; cos is the mean of the cosines
    between the task vectors, tensor by tensor. The paper knows angles up to 90 degrees; beyond, its t would lead away
    from the models.

    Args:
        inputs: The models and their base. Chunks hold whole rows.
        filter_wise: Find t for each row instead of for the tensor.
        dialect: `paper`: t is at least 0. `mergekit`: it is what the equation gives, with cosines that divide by the
            product of two lengths or by 1e-6 at least: the base counts for more where little has changed.
    """
    columns = inputs.columns

    def rows(chunk: Chunk) -> Floats:
        shares = _share(row_gram(chunk, columns), dialect)
        coefficients = np.broadcast_to(shares[:, None], (inputs.count, len(shares), 1))
        return combination(coefficients)(as_rows(chunk, columns)).reshape(-1)

    if filter_wise and len(inputs.shape) > 1:
        return rows
    return combination(np.full(inputs.count, _share(gram(inputs), dialect)))


def _share(products: Doubles, dialect: Dialect) -> Doubles:
    """Return the coefficient t / s of every task vector.

    Args:
        products: (s, s) or (s, s, k): the Gram matrix, or one of each of k rows.
        dialect: See `model_stock`.
    """
    count = len(products)
    with np.errstate(all="ignore"):
        lengths = np.sqrt(np.einsum("ii...->i...", products))
        least = _LEAST_PRODUCT if dialect == "mergekit" else 0.0
        cosines = products / np.maximum(lengths[:, None] * lengths[None, :], least)
        cosines = np.where(np.isfinite(cosines), cosines, 0.0)  # a task vector of 0, or with NaN, tells no angle
        above = np.triu_indices(count, 1)
        cosine = cosines[above].mean(axis=0) if count > 1 else np.ones(products.shape[2:])
        t = count * cosine / (1 + (count - 1) * cosine)
    return (np.maximum(t, 0.0) if dialect == "paper" else t) / count
