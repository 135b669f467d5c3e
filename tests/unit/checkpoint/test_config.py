from __future__ import annotations

import copy
import math
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
    a = config(layer_types=[LINEAR, LINEAR, LINEAR, FULL], windows_per_layer=[1, 2, 3, 4], hidden_size=4)
    b = config(layer_types=[FULL, FULL, LINEAR, FULL], windows_per_layer=[5, 6, 7, 8], hidden_size=4)
    before = copy.deepcopy((a, b))
    assert stack_config({"a": a, "b": b}, "a", slices(("a", 0, 2), ("b", 1, 4), ("a", 3, 4))) == {
        "model_type": "x",
        "num_hidden_layers": 6,
        "layer_types": [LINEAR, LINEAR, FULL, LINEAR, FULL, FULL],
        "windows_per_layer": [1, 2, 6, 7, 8, 4],
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


SLIDING, DENSE, SPARSE = "sliding_attention", "dense", "sparse"
OFF_RHYTHM = slices(("a", 0, 3), ("a", 0, 4))

KEPT = [
    ({"full_attention_interval": 2}, slices(("a", 0, 2), ("a", 0, 4))),
    ({"sliding_window_pattern": 2}, slices(("a", 2, 4))),
    ({"first_k_dense_replace": 1}, slices(("a", 0, 4), ("a", 1, 4))),
    ({"decoder_sparse_step": 1}, slices(("a", 1, 4), ("a", 0, 4))),
    ({"attn_layer_period": 4, "attn_layer_offset": 2}, slices(("a", 0, 4), ("a", 0, 4))),
    ({"expert_layer_period": 2, "expert_layer_offset": 1}, slices(("a", 2, 4))),
    ({"max_window_layers": 2, "use_sliding_window": False}, slices(("a", 2, 4), ("a", 0, 4))),
    ({"full_attention_interval": 0}, slices(("a", 2, 4))),
    ({"full_attention_interval": None}, slices(("a", 2, 4))),
]


@pytest.mark.parametrize(("fields", "stack"), KEPT)
def test_arithmetic_is_kept_where_the_stack_obeys_it(fields: dict[str, Any], stack: list[tuple[str, int]]) -> None:
    assert stack_config({"a": config(**fields)}, "a", stack) == config(**fields) | {"num_hidden_layers": len(stack)}


OTHERWISE = [
    # in the list that the model's class reads instead
    ("qwen3_next", {"full_attention_interval": 2}, OFF_RHYTHM, {"layer_types": [LINEAR, FULL, LINEAR] * 2 + [FULL]}),
    ("cohere2", {"sliding_window_pattern": 2}, slices(("a", 1, 4)), {"layer_types": [FULL, SLIDING, FULL]}),
    ("smollm3", {"no_rope_layer_interval": 2}, slices(("a", 1, 4)), {"no_rope_layers": [0, 1, 0]}),
    ("llama4_text", {"interleave_moe_layer_step": 2}, slices(("a", 1, 4)), {"moe_layers": [0, 2]}),
    ("afmoe", {"global_attn_every_n_layers": 2}, slices(("a", 1, 3)), {"layer_types": [FULL, SLIDING]}),
    (
        "exaone_moe",
        {"first_k_dense_replace": 1},
        slices(("a", 0, 2), ("a", 0, 1)),
        {"mlp_layer_types": [DENSE, SPARSE, DENSE]},
    ),
    (
        "qwen2",
        {"max_window_layers": 2, "use_sliding_window": True},
        slices(("a", 2, 4), ("a", 0, 1)),
        {"layer_types": [SLIDING, SLIDING, FULL]},
    ),
    (
        "qwen3_moe",
        {"decoder_sparse_step": 2, "mlp_only_layers": [3]},
        slices(("a", 1, 4)),
        {"decoder_sparse_step": 1, "mlp_only_layers": [1, 2]},
    ),
    # by other numbers, where there is no such list
    (
        "jamba",
        {"attn_layer_period": 4, "attn_layer_offset": 2},
        slices(("a", 1, 4)),
        {"attn_layer_offset": 1, "attn_layer_period": 2},
    ),
    ("jamba", {"expert_layer_period": 2, "expert_layer_offset": 1}, slices(("a", 1, 4)), {"expert_layer_offset": 0}),
    ("deepseek_v3", {"first_k_dense_replace": 2}, slices(("a", 1, 4)), {"first_k_dense_replace": 1}),
    ("lfm2_moe", {"num_dense_layers": 2}, slices(("a", 0, 2), ("a", 0, 4)), {"num_dense_layers": 4}),
]


@pytest.mark.parametrize(("kind", "fields", "stack", "changed"), OTHERWISE)
def test_arithmetic_that_the_stack_breaks_is_said_otherwise(
    kind: str, fields: dict[str, Any], stack: list[tuple[str, int]], changed: dict[str, Any]
) -> None:
    a = config(**fields) | {"model_type": kind}
    stacked = stack_config({"a": a}, "a", stack)
    assert stacked == a | changed | {"num_hidden_layers": len(stack)}


REFUSED = [
    ("deepseek_v3", {"first_k_dense_replace": 1}, slices(("a", 0, 4), ("a", 0, 4))),
    ("jamba", {"attn_layer_period": 4, "attn_layer_offset": 2}, slices(("a", 0, 3), ("a", 1, 4))),
    ("x", {"full_attention_interval": 3}, slices(("a", 2, 4), ("a", 0, 4))),
    ("ernie4_5_moe", {"moe_layer_interval": 2, "moe_layer_start_index": 1, "moe_layer_end_index": -1}, OFF_RHYTHM),
]


@pytest.mark.parametrize(("kind", "fields", "stack"), REFUSED)
def test_arithmetic_that_cannot_be_said_otherwise_is_refused(
    kind: str, fields: dict[str, Any], stack: list[tuple[str, int]]
) -> None:
    with pytest.raises(SourceError, match=f"breaks the rule {next(iter(fields))}"):
        stack_config({"a": config(**fields) | {"model_type": kind}}, "a", stack)


def test_each_source_is_read_by_its_own_rule() -> None:
    a, b = config(first_k_dense_replace=1), config(first_k_dense_replace=2)
    assert stack_config({"a": a, "b": b}, "a", slices(("b", 1, 4)))["num_hidden_layers"] == 3
    assert stack_config({"a": a, "b": b}, "a", slices(("b", 0, 4)))["first_k_dense_replace"] == 2
    with pytest.raises(SourceError, match="layer 3 of the new stack to be of the kind of layer 1 of b"):
        stack_config({"a": a, "b": b}, "a", slices(("a", 0, 3), ("b", 1, 4)))


def test_a_rule_that_only_one_source_has_is_refused() -> None:
    a, b = config(num_dense_layers=1), config()
    for base in "ab":
        with pytest.raises(SourceError, match=r"config of b does not say[\s\S]*num_dense_layers"):
            stack_config({"a": a, "b": b}, base, slices(("a", 0, 4), ("b", 1, 4)))


def test_a_list_overrules_arithmetic() -> None:
    a = config(full_attention_interval=2, layer_types=[LINEAR, FULL, LINEAR, FULL])
    stacked = stack_config({"a": a}, "a", slices(("a", 1, 4), ("a", 0, 1)))
    assert stacked["layer_types"] == [FULL, LINEAR, FULL, LINEAR]


def test_what_a_class_takes_for_granted_is_written_where_the_stack_departs_from_it() -> None:
    gemma = config() | {"model_type": "gemma2"}
    assert "layer_types" not in stack_config({"a": gemma}, "a", slices(("a", 0, 4), ("a", 0, 4)))
    stacked = stack_config({"a": gemma}, "a", OFF_RHYTHM)
    assert stacked["layer_types"] == [SLIDING, FULL, SLIDING] + [SLIDING, FULL] * 2
    with pytest.raises(SourceError, match="takes for granted"):
        stack_config({"a": config() | {"model_type": "qwen4_exp_text"}}, "a", slices(("a", 1, 4)))


FORMS = [
    ({"block_types": ["r", "r", "a"]}, slices(("a", 0, 3), ("a", 0, 2)), {"block_types": ["r", "r", "a"]}),
    ({"block_types": ["r", "r", "a"]}, slices(("a", 1, 4)), {"block_types": ["r", "a", "r"]}),
    (
        {"attention_types": [[["g", "l"], 2]], "attention_layers": ["g", "l", "g", "l"]},
        slices(("a", 1, 4)),
        {"attention_types": [[["l", "g", "l"], 1]], "attention_layers": ["l", "g", "l"]},
    ),
    (
        {"per_layer_config": {"1": {"head_dim": 8}}},
        slices(("a", 1, 4), ("a", 0, 2)),
        {"per_layer_config": {"0": {"head_dim": 8}, "4": {"head_dim": 8}}},
    ),
    (
        {"per_layer_config": {"3": {"head_dim": 8}}},
        slices(*(("a", 3, 4) for _ in range(2)), *(("a", 0, 4) for _ in range(3))),
        {"per_layer_config": {place: {"head_dim": 8} for place in ("00", "01", "05", "09", "13")}},
    ),
    (
        {"linear_attn_config": {"kda_layers": [1, 2, 3], "full_attn_layers": [4], "head_dim": 2}},
        slices(("a", 2, 4)),
        {"linear_attn_config": {"kda_layers": [1], "full_attn_layers": [2], "head_dim": 2}},
    ),
    (
        {"sparse": {"attention_freq": [0, 1, 1, 0]}},
        slices(("a", 3, 4), ("a", 0, 2)),
        {"sparse": {"attention_freq": [0, 0, 1]}},
    ),
    ({"moe_layers_enum": "1,3"}, slices(("a", 1, 4)), {"moe_layers_enum": "0,2"}),
    (
        {"layer_types": list("abcdm"), "num_nextn_predict_layers": 1},
        slices(("a", 2, 4)),
        {"layer_types": list("cdm")},
    ),
]


@pytest.mark.parametrize(("fields", "stack", "changed"), FORMS)
def test_every_form_follows_the_layers(
    fields: dict[str, Any], stack: list[tuple[str, int]], changed: dict[str, Any]
) -> None:
    a = config(**fields)
    before = copy.deepcopy(a)
    assert stack_config({"a": a}, "a", stack) == a | changed | {"num_hidden_layers": len(stack)}
    assert a == before


def test_a_list_whose_name_does_not_tell_is_refused() -> None:
    with pytest.raises(SourceError, match=r"may have an entry for each[\s\S]*colours"):
        stack_config({"a": config(colours=[1, 2, 3, 4])}, "a", slices(("a", 0, 4)))


def test_counts_of_other_names_and_of_passes_through_fewer_layers() -> None:
    bart = {"decoder_layers": 2, "encoder_layers": 2, "num_hidden_layers": 6}
    stacked = stack_config({"a": bart}, "a", slices(("a", 0, 2), ("a", 0, 2)))
    assert stacked == bart | {"decoder_layers": 4}
    longcat = {"num_layers": 2, "num_hidden_layers": 4}
    assert stack_config({"a": longcat}, "a", slices(("a", 0, 2), ("a", 1, 2))) == {
        "num_layers": 3,
        "num_hidden_layers": 6,
    }
    nemotron = {"layers_block_type": ["mamba", "moe"]}
    assert stack_config({"a": nemotron}, "a", slices(("a", 1, 2))) == {"layers_block_type": ["moe"]}


def test_a_residual_scale_that_depends_on_the_depth_stays_the_same() -> None:
    a = config(scale_depth=1.4)
    stacked = stack_config({"a": a}, "a", slices(("a", 0, 4), ("a", 1, 4)))
    assert float(str(stacked["scale_depth"])) / math.sqrt(7) == 1.4 / math.sqrt(4)
    b = {"model_type": "x", "num_hidden_layers": 2, "scale_depth": 1.4}
    with pytest.raises(SourceError, match="different factors"):
        stack_config({"a": a, "b": b}, "a", slices(("a", 0, 4), ("b", 0, 2)))


TIES = [
    {"num_kv_shared_layers": 2},
    {"hidden_size_per_layer_input": 8},
    {"is_encoder_decoder": True},
    {"ple_layer_ids": [1]},
]


@pytest.mark.parametrize("fields", TIES)
def test_layers_that_are_tied_to_their_place_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(SourceError, match="cannot be stacked"):
        stack_config({"a": config(**fields)}, "a", slices(("a", 0, 4)))
    unused = dict.fromkeys(fields, 0)
    assert stack_config({"a": config(**unused)}, "a", slices(("a", 0, 4))) == config(**unused)


@pytest.mark.parametrize("field", ["dense_layer_interval", "attention_every_n_layers", "num_first_dense_layers"])
def test_arithmetic_that_is_not_known_is_refused(field: str) -> None:
    with pytest.raises(SourceError, match=rf"in a way that is not known[\s\S]*{field}: 2"):
        stack_config({"a": config(**{field: 2})}, "a", slices(("a", 0, 4)))


@pytest.mark.parametrize("kind", ["zamba2", "diffllama"])
def test_classes_that_go_by_a_layers_number_are_refused(kind: str) -> None:
    with pytest.raises(SourceError, match="cannot be stacked"):
        stack_config({"a": config() | {"model_type": kind}}, "a", slices(("a", 0, 4)))


ENTRIES = [
    {"vision_config": {"deepstack_visual_indexes": [5, 11]}},
    {"deepstack_layer_map": [[0, 1]]},
    {"spatial_target_layers": [1]},
    {"talker_config": {"accept_hidden_layer": 2}},
]


@pytest.mark.parametrize("fields", ENTRIES)
def test_layers_where_features_enter_or_are_read_stay_where_they_are(fields: dict[str, Any]) -> None:
    a = {**fields, "text_config": config()}
    stacked = stack_config({"a": a}, "a", slices(("a", 0, 2), ("a", 0, 4)))
    assert stacked == a | {"text_config": config(num_hidden_layers=6)}
    with pytest.raises(SourceError, match="as layer 1 of the stack"):
        stack_config({"a": a}, "a", slices(("a", 0, 1), ("a", 2, 4)))


def test_layers_that_share_an_indexer_are_not_parted() -> None:
    a = config(indexer_types=["full", "shared", "full", "full"])
    stacked = stack_config({"a": a}, "a", slices(("a", 2, 4), ("a", 0, 2)))
    assert stacked["indexer_types"] == ["full", "full", "full", "shared"]
    for stack in (slices(("a", 1, 4)), slices(("a", 0, 1), ("a", 2, 4)), slices(("a", 2, 3), ("a", 1, 2))):
        with pytest.raises(SourceError, match="share which tokens"):
            stack_config({"a": a}, "a", stack)


@pytest.mark.parametrize("path", [("text_config",), ("thinker_config", "text_config"), ("llm_config",)])
def test_the_language_models_section_is_found(path: tuple[str, ...]) -> None:
    a: dict[str, Any] = config(layer_types=list("abcd"))
    for key in reversed(path):
        a = {key: a, "vision_config": {"num_hidden_layers": 4, "layer_types": list("efgh")}}
    stacked: Any = stack_config({"a": a}, "a", slices(("a", 3, 4)))
    for key in path:
        assert stacked["vision_config"] == a["vision_config"]
        stacked = stacked[key]
    assert stacked == config(num_hidden_layers=1, layer_types=["d"])


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


@pytest.mark.parametrize(
    ("names", "expected"),
    [([], 0), (["model.layers.3.a"], 0), (["model.layers.4.a"], 2), (["mtp.layers.0.a", "mtp.layers.1.a"], 2)],
)
def test_a_number_of_other_mtp_layers_is_taken_back_where_they_are_gone(names: list[str], expected: int) -> None:
    agreed = agree_on_mtp(config(num_nextn_predict_layers=2), names)
    assert agreed == config(num_nextn_predict_layers=expected)
