"""Layers that are made for their place, told by their tensors."""

from __future__ import annotations

from typing import Any

import pytest

from suture.checkpoint.layout import Layout, TensorInfo
from suture.errors import SourceError
from suture.merge.fit import check_positions

Origins = list[tuple[str, int]]


def check(special: dict[int, str], origins: Origins, **fields: Any) -> None:
    """Check a stack of two sources whose layers have one tensor, and these layers one more."""
    config = {"model_type": "x", "num_hidden_layers": 4, **fields}
    rests = {layer: ["weight", *([special[layer]] if layer in special else [])] for layer in range(4)}
    layers = {layer: {rest: f"h.{layer}.{rest}" for rest in rests[layer]} for layer in range(4)}
    tensors = {name: TensorInfo("BF16", (2,)) for named in layers.values() for name in named.values()}
    layout = Layout(config, tensors, ())
    check_positions({"a": layout, "b": layout}, {"a": layers, "b": layers}, origins)


WHOLE: Origins = [*(("a", layer) for layer in range(4)), *(("b", layer) for layer in range(4))]
OVERLAPPING: Origins = [*(("a", layer) for layer in range(3)), *(("b", layer) for layer in range(1, 4))]


def test_a_first_layer_of_its_own_kind_stays_the_first() -> None:
    check({0: "pre_ln"}, OVERLAPPING)
    for origins in (WHOLE, OVERLAPPING[1:]):
        with pytest.raises(SourceError, match=r"Layer 0 of \w is made for its place"):
            check({0: "pre_ln"}, origins)


def test_a_last_layer_of_its_own_kind_stays_the_last() -> None:
    check({3: "bias"}, OVERLAPPING)
    for origins in (WHOLE, OVERLAPPING[:-1]):
        with pytest.raises(SourceError, match=r"Layer 3 of \w is made for its place"):
            check({3: "bias"}, origins)


def test_layers_of_which_the_config_says_something_else_may_go_anywhere() -> None:
    check({0: "router", 2: "router"}, WHOLE, mlp_layer_types=["sparse", "dense", "sparse", "dense"])
    check({0: "router"}, WHOLE[:4], first_k_dense_replace=1)


def test_layers_between_that_differ_without_a_word_in_the_config_are_refused() -> None:
    with pytest.raises(SourceError, match="does not say which"):
        check({1: "router"}, OVERLAPPING)
