"""What is done to tensors: one plain function per merge method.

Shapes: n numbers, the same run of one tensor in each of s sources; always fp32, rounded once by whoever writes them.
A method that copies (passthrough) has no function: its tensors' bytes are not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def linear(tensors: Sequence[Floats], weights: Sequence[float]) -> Floats:
    """Return the weighted mean: sum(w_i * x_i) / sum(w_i).

    Wortsman et al. 2022, Model soups (arXiv 2203.05482): equal weights are its "uniform soup".

    Args:
        tensors: s arrays of (n,).
        weights: One per tensor, in any unit; only their proportions matter. Their sum is not 0.
    """
    total = sum(weights)
    mean = np.zeros_like(tensors[0])  # (n,)
    for tensor, weight in zip(tensors, weights, strict=True):
        mean += np.float32(weight / total) * tensor
    return mean
