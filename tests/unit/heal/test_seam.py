"""What a heal is planned from: seams, repeated layers, and the fields of the recipe."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suture.errors import RecipeError
from suture.heal.seam import heal_spec, near_seams, plain_spec, repeated_layers
from suture.heal.train import Gates, TrainSpec
from suture.recipe import Blend, Heal, Passthrough

STACK = Passthrough.model_validate(
    {
        "method": "passthrough",
        "base": "a",
        "slices": [{"source": "a", "layers": [0, 4]}, {"source": "b", "layers": [2, 6]}],
    }
)
BLEND = Blend.model_validate(
    {"method": "linear", "base": "a", "models": [{"source": "a"}, {"source": "b"}]},
)


def heal(**changes: Any) -> Heal:
    return Heal.model_validate({"data": [{"text": "builtin:code"}]} | changes)


def spec(**changes: Any) -> TrainSpec:
    return heal_spec(heal(**changes), STACK, seams=(4,), count=8)


def test_a_raw_heal_of_all_layers_is_a_training_like_any_other() -> None:
    assert spec() == plain_spec(heal())
    assert (spec().layers, spec().gates) == (None, None)


def test_a_layer_repeats_another_by_its_number_whatever_its_source() -> None:
    assert repeated_layers([("a", 0), ("a", 1), ("b", 1), ("b", 2), ("a", 2), ("a", 1)]) == (2, 4, 5)
    assert repeated_layers(STACK.origins) == (4, 5)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9)), max_size=30))
def test_without_repeated_layers_each_number_stands_once(origins: list[tuple[str, int]]) -> None:
    repeated = repeated_layers(origins)
    kept = [number for layer, (_, number) in enumerate(origins) if layer not in repeated]
    assert sorted(kept) == sorted({number for _, number in origins})


def test_near_seams_both_sides_are_taken_and_the_ends_are_kept_to() -> None:
    assert near_seams([4], 8, 1) == (3, 4)
    assert near_seams([4, 5], 8, 2) == (2, 3, 4, 5, 6)
    assert near_seams([1, 7], 8, 3) == (0, 1, 2, 3, 4, 5, 6, 7)
    assert spec(layers="seam", seam_layers=2).layers == (2, 3, 4, 5)


def test_damped_factors_stay_and_gated_ones_learn() -> None:
    assert spec(start="damped", damping=0.5).gates == Gates(layers=(4, 5), start=0.5, learning_rate=0.0)
    gated = spec(start="gated", gate_learning_rate=0.1)
    assert gated.gates == Gates(layers=(4, 5), start=0.25, learning_rate=0.1)


@pytest.mark.parametrize(
    ("changes", "field", "way_out"),
    [
        ({"layers": "seam"}, "layers", "all"),
        ({"start": "damped"}, "start", "raw"),
        ({"start": "gated"}, "start", "raw"),
    ],
)
def test_a_merge_without_seams_has_nothing_to_offer(changes: dict[str, str], field: str, way_out: str) -> None:
    with pytest.raises(RecipeError) as caught:
        heal_spec(heal(**changes), BLEND, seams=(), count=8)
    assert caught.value.where == f"heal.{field}"
    assert f"`{field}: {way_out}`" in str(caught.value.way_out)


def test_a_stack_of_one_source_in_order_repeats_nothing() -> None:
    whole = STACK.model_copy(update={"slices": (STACK.plain_slices[0],)})
    with pytest.raises(RecipeError, match="nothing"):
        heal_spec(heal(start="gated"), whole, seams=(), count=4)
