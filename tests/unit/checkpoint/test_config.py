from __future__ import annotations

import copy
from typing import Any

import pytest

from suture.checkpoint.config import agree_on_mtp, stack_config
from suture.errors import CheckpointError, SourceError

FULL, LINEAR = "full_attention", "linear_attention"


def slices(*parts: tuple[str, int, int]) -> list[tuple[str, int]]:
    return [(source, layer) for source, start, end in parts for layer in range(start, end)]


def config(**fields: Any) -> dict[str, Any]:
    return {"model_type": "x", "num_hidden_layers": 4, **fields}


def test_counts_and_lists_follow_the_layers() -> None:
    a = config(layer_types=[LINEAR, LINEAR, LINEAR, FULL], other=[1, 2, 3, 4], hidden_size=4)
    b = config(layer_types=[FULL, FULL, LINEAR, FULL], other=[5, 6, 7, 8], hidden_size=4)
    before = copy.deepcopy((a, b))
    assert stack_config({"a": a, "b": b}, "a", slices(("a", 0, 2), ("b", 1, 4), ("a", 3, 4))) == {
        "model_type": "x",
        "num_hidden_layers": 6,
        "layer_types": [LINEAR, LINEAR, FULL, LINEAR, FULL, FULL],
        "other": [1, 2, 6, 7, 8, 4],
        "hidden_size": 4,
    }
    assert (a, b) == before


def test_a_nested_text_config_is_the_one_that_changes() -> None:
    a = {
        "model_type": "x",
        "num_hidden_layers": 4,
        "text_config": config(layer_types=[LINEAR, LINEAR, LINEAR, FULL]),
        "vision_config": {"num_hidden_layers": 4, "layer_types": [1, 2, 3, 4]},
    }
    before = copy.deepcopy(a)
    stacked = stack_config({"a": a}, "a", slices(("a", 1, 4), ("a", 1, 4)))
    assert a == before
    assert stacked["vision_config"] == a["vision_config"]
    assert stacked["num_hidden_layers"] == 6
    assert stacked["text_config"] == config(num_hidden_layers=6, layer_types=[LINEAR, LINEAR, FULL] * 2)


def test_sources_may_have_different_numbers_of_layers() -> None:
    b = {"model_type": "x", "num_hidden_layers": 2, "layer_types": ["x", "y"]}
    a = config(layer_types=list("abcd"))
    stacked = stack_config({"a": a, "b": b}, "a", slices(("b", 0, 2), ("a", 2, 4)))
    assert stacked == config(layer_types=list("xycd"))


def test_lists_of_indices_are_moved_not_repeated() -> None:
    # four entries, as many as there are layers: still indices
    a = config(mlp_only_layers=[0, 1, 2, 3], moe_layers=[3])
    b = config(mlp_only_layers=[1], moe_layers=[])
    stacked = stack_config({"a": a, "b": b}, "a", slices(("b", 0, 3), ("a", 2, 4)))
    assert (stacked["mlp_only_layers"], stacked["moe_layers"]) == ([1, 3, 4], [4])


def test_texts_with_a_character_per_layer_follow() -> None:
    a = config(hybrid_override_pattern="M-M*", model_type="four")
    stacked = stack_config({"a": a}, "a", slices(("a", 2, 4), ("a", 0, 4)))
    assert (stacked["hybrid_override_pattern"], stacked["model_type"]) == ("M*M-M*", "four")


def test_lists_that_are_as_long_by_chance_stay() -> None:
    a = {"num_hidden_layers": 2, "eos_token_id": [1, 2], "time_step_limit": [0, 1]}
    stacked = stack_config({"a": a}, "a", slices(("a", 0, 2), ("a", 0, 2)))
    assert stacked == a | {"num_hidden_layers": 4}


def test_a_list_of_another_length_is_refused() -> None:
    a = config(layer_types=[FULL] * 3)
    with pytest.raises(SourceError, match=r"no layer_types for each[\s\S]*4 entries[\s\S]*3 entries"):
        stack_config({"a": a}, "a", slices(("a", 0, 4)))


def test_a_list_that_an_older_config_leaves_out() -> None:
    new, old = config(layer_types=[FULL] * 4), config()
    stack = slices(("a", 0, 4), ("b", 2, 4))
    assert stack_config({"a": new, "b": old}, "a", stack)["layer_types"] == [FULL] * 6
    assert "layer_types" not in stack_config({"a": old, "b": new}, "a", stack)
    mixed = config(layer_types=[FULL, LINEAR, FULL, LINEAR])
    for a, b in ((mixed, old), (old, mixed)):
        with pytest.raises(SourceError, match="current transformers"):
            stack_config({"a": a, "b": b}, "a", stack)


RULES = [
    ({"full_attention_interval": 2}, slices(("a", 0, 2), ("a", 0, 4)), slices(("a", 0, 3), ("a", 0, 4))),
    ({"sliding_window_pattern": 2}, slices(("a", 2, 4)), slices(("a", 1, 4))),
    ({"first_k_dense_replace": 1}, slices(("a", 0, 4), ("a", 1, 4)), slices(("a", 0, 4), ("a", 0, 4))),
    ({"decoder_sparse_step": 1}, slices(("a", 1, 4), ("a", 0, 4)), None),
    ({"attn_layer_period": 4, "attn_layer_offset": 2}, slices(("a", 0, 4), ("a", 0, 4)), slices(("a", 1, 4))),
    ({"expert_layer_period": 2, "expert_layer_offset": 1}, slices(("a", 2, 4)), slices(("a", 1, 4))),
    ({"max_window_layers": 2, "use_sliding_window": False}, slices(("a", 2, 4), ("a", 0, 4)), None),
    ({"max_window_layers": 2, "use_sliding_window": True}, slices(("a", 1, 4)), None),
    ({"full_attention_interval": 0}, slices(("a", 2, 4)), None),
    ({"full_attention_interval": None}, slices(("a", 2, 4)), None),
]


@pytest.mark.parametrize(("fields", "kept", "broken"), RULES[:7] + RULES[8:])
def test_arithmetic_is_kept_where_the_stack_obeys_it_and_refused_elsewhere(
    fields: dict[str, Any], kept: list[tuple[str, int]], broken: list[tuple[str, int]] | None
) -> None:
    stacked = stack_config({"a": config(**fields)}, "a", kept)
    assert stacked == config(**fields) | {"num_hidden_layers": len(kept)}
    if broken:
        with pytest.raises(SourceError, match=f"breaks the rule {next(iter(fields))}"):
            stack_config({"a": config(**fields)}, "a", broken)


def test_a_window_that_begins_at_a_layer_is_refused_where_it_would_move() -> None:
    fields, stack, _ = RULES[7]
    with pytest.raises(SourceError, match="max_window_layers"):
        stack_config({"a": config(**fields)}, "a", stack)


def test_each_source_is_read_by_its_own_rule() -> None:
    a, b = config(first_k_dense_replace=1), config(first_k_dense_replace=2)
    assert stack_config({"a": a, "b": b}, "a", slices(("b", 1, 4)))["num_hidden_layers"] == 3
    with pytest.raises(SourceError, match="layer 1 of b"):
        stack_config({"a": a, "b": b}, "a", slices(("b", 0, 4)))


def test_a_list_overrules_arithmetic() -> None:
    a = config(full_attention_interval=2, layer_types=[LINEAR, FULL, LINEAR, FULL])
    stacked = stack_config({"a": a}, "a", slices(("a", 1, 4), ("a", 0, 1)))
    assert stacked["layer_types"] == [FULL, LINEAR, FULL, LINEAR]


@pytest.mark.parametrize("fields", [{"num_kv_shared_layers": 2}, {"hidden_size_per_layer_input": 8}])
def test_layers_that_are_tied_to_their_place_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(SourceError, match="cannot be stacked"):
        stack_config({"a": config(**fields)}, "a", slices(("a", 0, 4)))
    unused = dict.fromkeys(fields, 0)
    assert stack_config({"a": config(**unused)}, "a", slices(("a", 0, 4))) == config(**unused)


def test_a_config_without_a_count_is_refused() -> None:
    with pytest.raises(CheckpointError, match="how many layers"):
        stack_config({"a": {"model_type": "x"}}, "a", slices(("a", 0, 1)))


@pytest.mark.parametrize(
    ("names", "expected"),
    [([], 0), (["mtp.layers.0.a", "mtp.layers.0.b", "mtp.norm"], 1), (["model.mtp.layers.0.a", "mtp.layers.1.b"], 2)],
)
def test_the_number_of_mtp_layers_is_that_of_the_tensors(names: list[str], expected: int) -> None:
    nested: dict[str, Any] = {"text_config": config(mtp_num_hidden_layers=1)}
    assert agree_on_mtp(nested, names)["text_config"] == config(mtp_num_hidden_layers=expected)
    assert agree_on_mtp(config(), names) == config()
    assert nested == {"text_config": config(mtp_num_hidden_layers=1)}
