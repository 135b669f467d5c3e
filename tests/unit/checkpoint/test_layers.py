from __future__ import annotations

from typing import Any

import pytest

from suture.checkpoint.layers import LayerStack, find_layers, layer_count
from suture.errors import CheckpointError


def numbered(prefix: str, count: int) -> list[str]:
    return [f"{prefix}.{number}.weight" for number in range(count)]


@pytest.mark.parametrize(
    "prefix", ["model.layers", "layers", "h", "transformer.h", "model.decoder.layers", "a.b.blocks"]
)
def test_the_layers_are_found_by_their_numbers_whatever_they_are_called(prefix: str) -> None:
    names = [*numbered(prefix, 3), *numbered("visual.blocks", 3), *numbered("mtp.layers", 3), "model.norm.weight"]
    assert find_layers({"num_hidden_layers": 3}, names, "it") == LayerStack(prefix, 3)


def test_experts_within_a_layer_are_no_stack() -> None:
    names = [f"model.layers.{layer}.mlp.experts.{expert}.w" for layer in range(2) for expert in range(5)]
    assert find_layers({"num_hidden_layers": 2}, names, "it") == LayerStack("model.layers", 2)


@pytest.mark.parametrize("beside", ["encoder.layers", "vit.layers", "audio_encoder.layers", "model.sam_model.blocks"])
def test_an_encoder_is_the_language_model_only_where_there_is_no_other(beside: str) -> None:
    names = numbered(beside, 2)
    if "audio" not in beside:
        assert find_layers({"num_hidden_layers": 2}, names, "it").prefix == beside
    assert (
        find_layers({"num_hidden_layers": 2}, [*names, *numbered("model.layers", 2)], "it").prefix == "model.layers"
    )


def test_two_stacks_that_fit_are_refused() -> None:
    with pytest.raises(CheckpointError, match="cannot be told"):
        find_layers({"num_hidden_layers": 2}, [*numbered("x.layers", 2), *numbered("y.layers", 2)], "it")


def test_layers_spread_over_several_lists() -> None:
    names = [
        name for part in ("attentions", "layer_norm1", "ffns", "layer_norm2") for name in numbered(f"t.{part}", 2)
    ]
    stack = find_layers({"model_type": "xlm", "n_layers": 2}, names, "it")
    for name in names:
        place = stack.split(name)
        assert place is not None
        assert stack.name(*place) == name
    assert stack.split("t.ffns.1.weight") == (1, "t.ffns.*.weight")
    assert stack.name(5, "t.ffns.*.weight") == "t.ffns.5.weight"
    with pytest.raises(CheckpointError, match="cannot be told"):
        find_layers({"model_type": "xlm", "n_layers": 2}, names[:-2], "it")


def test_multi_token_prediction_after_the_last_layer_is_in_no_layer_and_stays_after_the_last() -> None:
    config = {"num_hidden_layers": 3, "num_nextn_predict_layers": 1}
    stack = find_layers(config, numbered("model.layers", 4), "it")
    assert stack == LayerStack("model.layers", 3)
    assert stack.split("model.layers.3.weight") is None
    assert stack.outside_name("model.layers.3.weight", 7) == "model.layers.7.weight"
    assert stack.outside_name("model.norm.weight", 7) == "model.norm.weight"
    with pytest.raises(CheckpointError, match="cannot be told"):
        find_layers({"num_hidden_layers": 3}, numbered("model.layers", 4), "it")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"decoder_layers": 3, "encoder_layers": 2, "num_hidden_layers": 2}, 3),
        ({"num_layers": 2, "num_hidden_layers": 4}, 2),
        ({"thinker_config": {"text_config": {"num_hidden_layers": 5}}}, 5),
        ({"text_config": {"n_layer": 6}, "num_hidden_layers": 1}, 6),
        ({"layers_block_type": ["mamba", "moe"]}, 2),
        ({"n_layer": None, "num_hidden_layers": 4}, 4),
    ],
)
def test_the_number_of_layers(config: dict[str, Any], expected: int) -> None:
    assert layer_count(config) == expected
