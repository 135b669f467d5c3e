"""Averages of the models themselves."""

from __future__ import annotations

import math

import numpy as np

from suture.merge.methods.gram import combination
from suture.merge.stream import Combine, Inputs


def passthrough(inputs: Inputs, *, scale: float) -> Combine:
    """Return the one model times a factor; without a factor the engine copies bytes instead.

    Args:
        inputs: One model.
        scale: The factor; below 1 it damps repeated layers.
    """
    assert inputs.count == 1  # noqa: S101 -- a recipe cannot ask for more
    factor = np.float32(scale)
    return lambda chunk: chunk.models[0] * factor


def linear(inputs: Inputs, *, weight: tuple[float, ...], normalize: bool) -> Combine:
    """Return the weighted mean: sum(w_i * x_i) / sum(w_i).

    Wortsman et al. 2022, Model soups (arXiv 2203.05482): equal weights are its "uniform soup".

    Args:
        inputs: The models.
        weight: One per model; if normalized, only their proportions matter and their sum is not 0.
        normalize: Whether to divide by the sum of the weights.
    """
    assert len(weight) == inputs.count  # noqa: S101 -- the plan gives each model its weight
    total = math.fsum(weight) if normalize else 1.0
    return combination([number / total for number in weight])
