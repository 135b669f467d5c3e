"""Methods for the base and one other model, against plain fp64 arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.unit.merge.plain import close, draw, merged

VECTORS = arrays(np.float32, 8, elements=st.floats(-100, 100, width=32))


@given(VECTORS, VECTORS, st.floats(0, 10))
def test_nearswap_weighs_by_nearness(base: np.ndarray, model: np.ndarray, t: float) -> None:
    distance = np.abs(model.astype(np.float64) - base)
    weight = np.clip(np.divide(t, distance, out=np.ones_like(distance), where=distance > 0), 0, 1)
    close(merged("nearswap", [model], base, t=t), weight * model + (1 - weight) * base, of=np.array(200.0))


def test_nearswap_takes_near_numbers_and_keeps_far_ones() -> None:
    base, model = np.float32([1, 1]), np.float32([1.25, 9])
    np.testing.assert_array_equal(merged("nearswap", [model], base, t=0.5), [1.25, 1.5])


def fuse(base: np.ndarray, model: np.ndarray) -> np.ndarray:
    wide, other = torch.from_numpy(base).double(), torch.from_numpy(model).double()
    divergence = torch.nn.functional.kl_div(
        wide.log_softmax(-1), other.log_softmax(-1), log_target=True, reduction="none"
    )
    importance = (other - wide).abs() * divergence.sum(-1, keepdim=True)
    ordered = importance.flatten().sort().values
    first, median, third = (ordered[int(share * (len(ordered) - 1))] for share in (0.25, 0.5, 0.75))
    return torch.where(importance >= median + 1.5 * (third - first), other, wide).numpy()


@pytest.mark.parametrize("shape", [(64, 96), (500,)])
def test_arcee_fusion_takes_outliers(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(4)
    base, _ = draw(shape)
    model = (base + rng.standard_t(2, shape) * 0.01).astype(np.float32)
    found = merged("arcee_fusion", [model], base, length=7 * shape[-1])
    np.testing.assert_array_equal(found, fuse(base, model).astype(np.float32))
    assert 0.01 < (found == model).mean() < 0.3
