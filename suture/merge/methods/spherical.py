"""Averages along arcs instead of chords: the mean of two vectors of one length is not shorter than they are.

Each method sees a tensor as one vector (or each of its rows or columns), finds its coefficients from the Gram matrix
alone, and combines the numbers in a second pass. Where an angle cannot be told, since a vector is 0 or holds NaN or
infinities, the methods are what they are for parallel vectors: the weighted mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from suture.merge.methods.gram import Doubles, as_rows, column_gram, combination, gram, row_gram
from suture.merge.methods.task_vectors import Dialect
from suture.merge.stream import Chunk, Combine, Floats, Inputs

_PARALLEL = 0.9995
"""Cosine beyond which slerp is a straight line: sin(angle) is near 0 then, and the two hardly differ."""

_SMALL = 1e-8
"""A length or the sine of an angle below this is taken for 0."""


def slerp(inputs: Inputs, *, t: float) -> Combine:
    """Return the point between two models on the arc from the first (t = 0) to the second (t = 1).

    Shoemake 1985, Animating rotation with quaternion curves, section 3.3:
    (sin((1 - t) a) * x_0 + sin(t a) * x_1) / sin(a), where a is the angle between x_0 and x_1; their lengths may
    differ. If |cos a| > 0.9995, also where they point in opposite directions, a straight line.

    Args:
        inputs: Two models, the base first.
        t: Where on the arc.
    """
    return combination(_arc(gram(inputs), t, straight=math.sqrt(1 - _PARALLEL**2)))


def nuslerp(inputs: Inputs, *, weight: tuple[float, ...], flatten: bool, row_wise: bool) -> Combine:
    """Return the point between two models, or between their task vectors, on the arc, by their weights.

    SLERP (Shoemake 1985) with t = w_1 / (w_0 + w_1), of whole tensors or of each row or column.

    Args:
        inputs: Two models, perhaps with a base: then their task vectors are interpolated, and the base is added.
            Chunks hold whole rows.
        weight: One per model.
        flatten: Take the tensor as one vector.
        row_wise: If not flattened: take each row as a vector, else each column. A vector is one row either way.
    """
    t = weight[1] / (weight[0] + weight[1])
    columns = inputs.columns

    def rows(chunk: Chunk) -> Floats:
        coefficients = _arc(row_gram(chunk, columns), t, straight=_SMALL)
        return combination(coefficients[..., None])(as_rows(chunk, columns)).reshape(-1)

    if flatten or len(inputs.shape) < 2:
        return combination(_arc(gram(inputs), t, straight=_SMALL))
    if row_wise:
        return rows
    by_columns = combination(_arc(column_gram(inputs), t, straight=_SMALL))
    return lambda chunk: by_columns(as_rows(chunk, columns)).reshape(-1)


def multislerp(inputs: Inputs, *, weight: tuple[float, ...], dialect: Dialect) -> Combine:
    """Return the spherical mean of models, or of task vectors, in one step.

    The models' directions are mapped to the plane that touches the sphere at the direction of their weighted mean
    (the logarithmic map), averaged there by weight, and mapped back (the exponential map): one step of the Karcher
    mean. Its length is the weighted mean of the models' lengths. No paper: Goddard 2025, mergekit's guide.

    Args:
        inputs: The models, perhaps with a base: then their task vectors are averaged, and the base is added.
        weight: One per model; only their proportions matter.
        dialect: `paper` takes the step; in `mergekit` it comes out as 0, and the direction is that of the weighted
            mean.
    """
    return combination(_spherical_mean(gram(inputs), weight, max_iter=0 if dialect == "mergekit" else 1, tol=0.0))


def karcher(inputs: Inputs, *, weight: tuple[float, ...], max_iter: int, tol: float) -> Combine:
    """Return the Karcher mean: the direction whose squared angles to the models' directions have the least sum.

    Karcher 1977, Riemannian center of mass; on the sphere by steps of x <- exp_x(sum(w_i * log_x(x_i))), as in
    Buss and Fillmore 2001, Spherical averages, algorithm A1. Its length is the weighted mean of the models' lengths.

    Args:
        inputs: The models.
        weight: One per model; only their proportions matter.
        max_iter: Steps at most.
        tol: Stop when a step is shorter than this angle.
    """
    return combination(_spherical_mean(gram(inputs), weight, max_iter=max_iter, tol=tol))


def _arc(products: Doubles, t: float, *, straight: float) -> Doubles:
    """Return the coefficients of two vectors for a point on the arc between them.

    Args:
        products: (2, 2) or (2, 2, k): the Gram matrix, or one of each of k pairs.
        t: Where on the arc.
        straight: Sine of the angle below which the arc is a straight line.

    Returns:
        (2,) or (2, k).
    """
    with np.errstate(all="ignore"):
        lengths = np.sqrt(products[0, 0] * products[1, 1])
        cosine = np.where(lengths > 0, products[0, 1] / lengths, 0.0)
        angle = np.arccos(np.clip(cosine, -1.0, 1.0))
        sine = np.sin(angle)
        is_curved = sine >= straight  # not of NaN
        first = np.where(is_curved, np.sin((1 - t) * angle) / sine, 1 - t)
        second = np.where(is_curved, np.sin(t * angle) / sine, t)
    return np.stack([first, second])


def _spherical_mean(products: Doubles, weight: Sequence[float], *, max_iter: int, tol: float) -> Doubles:
    """Return the coefficients of s vectors for the mean of their directions, times the mean of their lengths.

    The mean and each step to it are kept as coefficients of the unit vectors; angles and lengths come from cosines.

    Args:
        products: (s, s): the Gram matrix.
        weight: One per vector.
        max_iter: Steps at most.
        tol: Length of a step at which to stop.
    """
    weights = np.asarray(weight, np.float64) / math.fsum(weight)
    lengths = np.sqrt(np.diagonal(products))
    if not np.isfinite(products).all() or not (lengths > _SMALL).any():
        return weights
    used = lengths > _SMALL  # a vector of 0 has a length, but no direction
    directed = np.where(used, weights, 0.0)
    directed /= directed.sum()
    inverse = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=used)
    cosines = np.clip(products * np.outer(inverse, inverse), -1.0, 1.0)
    mean = _unit(directed, cosines)
    for _ in range(max_iter):
        mean, step = _toward_mean(mean, directed, cosines)
        if step < tol:
            break
    return mean * inverse * (weights @ lengths)


def _toward_mean(mean: Doubles, weights: Doubles, cosines: Doubles) -> tuple[Doubles, float]:
    """Return exp_x(sum(w_i * log_x(x_i))) and the length of that step; x is `mean`."""
    to_mean = np.clip(cosines @ mean, -1.0, 1.0)
    angles = np.arccos(to_mean)
    sines = np.sin(angles)
    stretch = weights * np.divide(angles, sines, out=np.ones_like(angles), where=sines > _SMALL)
    step = stretch - mean * (stretch @ to_mean)  # sum(w_i * a_i / sin(a_i) * (x_i - cos(a_i) * x))
    length = math.sqrt(max(0.0, step @ cosines @ step))
    if length < _SMALL:
        return mean, length
    return math.cos(length) * mean + math.sin(length) / length * step, length


def _unit(vector: Doubles, cosines: Doubles) -> Doubles:
    """Return coefficients of a vector of length 1; vectors that cancel out give the first of them."""
    length = math.sqrt(max(0.0, vector @ cosines @ vector))
    if length < _SMALL:
        return np.eye(len(vector))[np.argmax(vector)]
    return vector / length
