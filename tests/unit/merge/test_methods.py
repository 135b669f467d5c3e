from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from suture.checkpoint.floats import from_float32, to_float32
from suture.merge.methods import linear
from suture.merge.table import METHODS

NUMBERS = st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=8)
WEIGHTS = st.integers(1, 1000)


def floats(values: list[float]) -> np.ndarray:
    return np.array(values, np.float32)


def test_linear_is_the_weighted_mean() -> None:
    mean = linear([floats([1, 2]), floats([3, -2]), floats([10, 0])], [1, 2, 1])
    np.testing.assert_array_equal(mean, floats([17 / 4, -2 / 4]))
    assert mean.dtype == np.float32


@given(NUMBERS, st.lists(WEIGHTS, min_size=1, max_size=4), st.integers(1, 1000), st.data())
def test_only_the_proportions_of_the_weights_matter(
    values: list[float], weights: list[int], scale: int, data: st.DataObject
) -> None:
    tensors = [floats(data.draw(st.permutations(values))) for _ in weights]
    scaled = linear(tensors, [float(weight * scale) for weight in weights])
    np.testing.assert_array_equal(linear(tensors, [float(weight) for weight in weights]), scaled)


@given(NUMBERS, st.lists(st.floats(0.01, 1), min_size=2, max_size=4))
def test_the_mean_of_equal_bf16_models_is_the_model(values: list[float], weights: list[float]) -> None:
    model = torch.tensor(values).bfloat16()
    numbers = model.float().numpy()
    mean = linear([numbers] * len(weights), weights)
    rounded = to_float32(from_float32(mean, "BF16"), "BF16")
    np.testing.assert_array_equal(rounded, numbers)


@given(NUMBERS, WEIGHTS, WEIGHTS, st.data())
def test_linear_is_what_plain_double_arithmetic_gives(
    values: list[float], first: int, second: int, data: st.DataObject
) -> None:
    a, b = floats(values), floats(data.draw(st.permutations(values)))
    exact = (first * a.astype(np.float64) + second * b.astype(np.float64)) / (first + second)
    bound = 4 * np.finfo(np.float32).eps * np.maximum(abs(a), abs(b)) + np.finfo(np.float32).tiny
    assert (abs(linear([a, b], [first, second]) - exact) <= bound).all()


def test_negative_weights_extrapolate() -> None:
    np.testing.assert_array_equal(linear([floats([3]), floats([1])], [2, -1]), floats([5]))


def test_the_inputs_are_left_alone() -> None:
    a, b = floats([1, 2]), floats([3, 4])
    linear([a, b], [1, 1])
    assert (a.tolist(), b.tolist()) == ([1, 2], [3, 4])


def test_the_table_names_every_method_that_computes() -> None:
    assert {name: method.function for name, method in METHODS.items()} == {"linear": linear}
