from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suture.merge.settings import value_at
from suture.recipe import Filtered


def at(setting: object, name: str = "model.layers.3.mlp.up_proj.weight", depth: float = 0.5) -> float:
    return value_at(setting, name=name, depth=depth, default=-1.0)  # pyright: ignore[reportArgumentType]


def test_a_number_is_for_all_tensors() -> None:
    assert at(0.3) == 0.3


@pytest.mark.parametrize(
    ("depth", "expected"), [(0.0, 0.0), (0.25, 0.5), (0.5, 1.0), (0.75, 0.5), (1.0, 0.0), (0.125, 0.25)]
)
def test_a_gradient_is_made_of_straight_lines(depth: float, expected: float) -> None:
    assert at((0.0, 1.0, 0.0), depth=depth) == pytest.approx(expected)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.floats(0, 1))
def test_a_gradient_is_what_numpy_interpolates(values: list[float], depth: float) -> None:
    places = np.linspace(0, 1, len(values)) if len(values) > 1 else [0.0]
    assert at(tuple(values), depth=depth) == pytest.approx(np.interp(depth, places, values), abs=1e-9)


def test_the_first_filter_that_fits_counts() -> None:
    setting = (
        Filtered(filter="attn", value=0.1),
        Filtered(filter="mlp", value=(0.0, 0.4)),
        Filtered(filter="up_proj", value=9.0),
        Filtered(filter="*", value=0.7),
    )
    assert at(setting) == pytest.approx(0.2)
    assert at(setting, "model.layers.0.self_attn.q_proj.weight") == 0.1
    assert at(setting, "model.norm.weight") == 0.7


def test_what_no_filter_fits_has_the_default() -> None:
    assert at((Filtered(filter="attn", value=0.1),)) == -1.0
