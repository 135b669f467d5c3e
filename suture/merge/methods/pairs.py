"""Methods for the base and one other model."""

from __future__ import annotations

import numpy as np

from suture.merge.methods.gram import as_rows
from suture.merge.methods.ranks import as_float, magnitudes_at
from suture.merge.stream import Chunk, Combine, Floats, Inputs


def nearswap(inputs: Inputs, *, t: float) -> Combine:
    """Return the base with each number moved toward the other model's, by t at most.

    alchemonaut 2024, QuartetAnemoi-70B: a weighted mean with the weight min(1, t / |x - base|) for x. That is
    base + clip(x - base, -t, t).

    Args:
        inputs: One model and the base.
        t: How near is near, in the unit of the numbers; at least 0.
    """
    assert inputs.count == 1  # noqa: S101 -- a recipe cannot ask for more
    reach = np.float32(t)

    def combine(chunk: Chunk) -> Floats:
        step = chunk.models[0] - chunk.origin
        np.clip(step, -reach, reach, out=step)
        step += chunk.origin
        return step

    return combine


def arcee_fusion(inputs: Inputs) -> Combine:
    """Return the base with the other model's numbers where their change is an outlier.

    Arcee 2025, MergeKit v0.1: a number's importance is its change's magnitude times the Kullback-Leibler divergence
    of the softmax of its row from that of the base's row. Those of at least median + 1.5 * (third quartile - first
    quartile), over the tensor, are taken.

    Args:
        inputs: One model and the base. Chunks hold whole rows.
    """
    columns = inputs.columns
    ranks = [int(share * (inputs.size - 1)) for share in (0.25, 0.5, 0.75)]
    (found,) = magnitudes_at([inputs], lambda chunk: [_importance(chunk, columns)], [ranks])
    first, median, third = map(as_float, found)
    threshold = np.float32(median + 1.5 * (third - first))

    def combine(chunk: Chunk) -> Floats:
        return np.where(_importance(chunk, columns) >= threshold, chunk.models[0], chunk.origin)

    return combine


def _importance(chunk: Chunk, columns: int) -> Floats:
    """Return the importance of each number: (n,)."""
    rows = as_rows(chunk, columns)
    change = rows.models[0].astype(np.float64) - rows.origin  # (rows, columns)
    base = np.exp(rows.origin - rows.origin.max(axis=1, keepdims=True), dtype=np.float64)
    base /= base.sum(axis=1, keepdims=True)
    # Written so that nothing cancels: with q the base's softmax, p = q exp(change) / sum(q exp(change)).
    growth = np.sum(base * np.expm1(change), axis=1, keepdims=True)
    other = base * np.exp(change) / (1 + growth)
    divergence = np.sum(other * change, axis=1, keepdims=True) - np.log1p(growth)
    return (np.abs(change) * np.maximum(divergence, 0)).astype(np.float32).reshape(-1)
