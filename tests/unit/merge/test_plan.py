from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import TypeAdapter

from suture.checkpoint.layout import Layout, TensorInfo
from suture.errors import RecipeError, SourceError
from suture.merge.account import Input, MergePlan
from suture.merge.plan import plan_merge
from suture.recipe import Merge

Config = Callable[..., dict[str, Any]]
MERGE: TypeAdapter[Merge] = TypeAdapter(Merge)


def layout(layers: int, config: dict[str, Any], **shapes: Any) -> Layout:
    rest = {"mlp.weight": (4, 3), "A_log": (3,)} | shapes
    tensors = {
        f"model.layers.{i}.{name}": TensorInfo("BF16", shape) for i in range(layers) for name, shape in rest.items()
    }
    tensors |= {
        "model.embed_tokens.weight": TensorInfo("BF16", (7, 4)),
        "model.norm.weight": TensorInfo("BF16", (4,)),
    }
    return Layout(config, tensors, ("tokenizer.json", "config.json", "README.md", "model.safetensors"))


def stack(*slices: tuple[str, int, int], base: str = "a") -> Merge:
    parts = [{"source": source, "layers": [start, end]} for source, start, end in slices]
    return MERGE.validate_python({"method": "passthrough", "base": base, "slices": parts})


def linear(weights: dict[str, float], base: str = "a") -> Merge:
    models = [{"source": source, "weight": weight} for source, weight in weights.items()]
    return MERGE.validate_python({"method": "linear", "base": base, "models": models})


def accounted(plan: MergePlan, sources: dict[str, Layout]) -> None:
    """Every tensor of every source is in the result or in the list of what was dropped, never in both."""
    used = {made_of for output in plan.outputs for made_of in output.inputs}
    dropped = [Input(row.source, row.tensor) for row in plan.dropped]
    assert len(set(dropped)) == len(dropped)
    assert not used & set(dropped)
    assert used | set(dropped) == {Input(source, name) for source, held in sources.items() for name in held.tensors}


def test_a_stack_accounts_for_every_tensor(config: Config) -> None:
    sources = {"a": layout(4, config(4)), "b": layout(3, config(3))}
    plan = plan_merge(stack(("a", 0, 2), ("b", 1, 3), ("b", 2, 3)), sources, 100)
    accounted(plan, sources)
    origins = {output.name: output.inputs for output in plan.outputs}
    assert origins["model.layers.1.A_log"] == (Input("a", "model.layers.1.A_log"),)
    assert origins["model.layers.2.A_log"] == (Input("b", "model.layers.1.A_log"),)
    assert origins["model.layers.3.mlp.weight"] == origins["model.layers.4.mlp.weight"]
    assert {(row.source, row.tensor, row.reason) for row in plan.dropped} == {
        *(
            ("a", f"model.layers.{i}.{name}", "its layer is in no slice")
            for i in (2, 3)
            for name in ("mlp.weight", "A_log")
        ),
        *(("b", f"model.layers.0.{name}", "its layer is in no slice") for name in ("mlp.weight", "A_log")),
        *(
            ("b", name, "all that is in no layer comes from the base, a")
            for name in ("model.embed_tokens.weight", "model.norm.weight")
        ),
    }
    assert (plan.layout.layers, plan.layout.config["num_hidden_layers"]) == (5, 5)
    assert plan.layout.size == 2 * (5 * (12 + 3) + 28 + 4)
    assert plan.layout.files == (
        "config.json",
        "model-00001-of-00003.safetensors",
        "model-00002-of-00003.safetensors",
        "model-00003-of-00003.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
    )


def test_the_layouts_are_left_alone(config: Config) -> None:
    sources = {"a": layout(2, config(2, layer_types=["x", "y"]))}
    before = copy.deepcopy(sources)
    plan_merge(stack(("a", 1, 2), ("a", 0, 2)), sources, 10**9)
    assert sources == before


def test_outputs_are_in_the_order_of_the_layers(config: Config) -> None:
    plan = plan_merge(stack(("a", 0, 12)), {"a": layout(12, config(12))}, 10**9)
    layers = [output.name.split(".")[2] for output in plan.outputs if ".layers." in output.name]
    assert layers == [str(layer) for layer in range(12) for _ in range(2)]


@pytest.mark.parametrize(
    ("slices", "seams"),
    [
        ([("a", 0, 4)], ()),
        ([("a", 0, 2), ("a", 2, 4)], ()),
        ([("a", 0, 3), ("b", 1, 4)], (3,)),
        ([("a", 0, 2), ("b", 2, 4)], (2,)),
        ([("a", 0, 1), ("a", 0, 1), ("b", 0, 1), ("a", 1, 3)], (1, 2, 3)),
    ],
)
def test_seams_are_where_the_run_of_layers_breaks(
    config: Config, slices: list[tuple[str, int, int]], seams: tuple[int, ...]
) -> None:
    sources = {"a": layout(4, config(4)), "b": layout(4, config(4))}
    assert plan_merge(stack(*slices), sources, 10**9).seams == seams


def test_a_slice_past_the_end_is_refused_with_the_number_of_layers(config: Config) -> None:
    sources = {"a": layout(4, config(4)), "b": layout(3, config(3))}
    with pytest.raises(RecipeError, match="b, which has 3 layers") as caught:
        plan_merge(stack(("a", 0, 4), ("b", 1, 4)), sources, 10**9)
    assert (caught.value.where, caught.value.found) == ("merge.slices.1.layers", [1, 4])


DIFFERENT = [
    ({"hidden_size": 8}, "hidden_size in config.json", "4, as in a", "8 in b"),
    ({"hidden_act": "gelu"}, "hidden_act in config.json", "silu, as in a", "gelu in b"),
    ({"hidden_size": 8, "model_type": "other"}, "model_type in config.json", "pico, as in a", "other in b"),
    ({"rope_parameters": {"rope_theta": 5.0}}, "rope_theta in config.json", "2.0, as in a", "5.0 in b"),
    ({"sliding_window": None}, "sliding_window in config.json", "16, as in a", "none in b"),
    ({"attention_bias": True}, "attention_bias in config.json", "False, as in a", "True in b"),
]


@pytest.mark.parametrize(
    "merge", [stack(("a", 0, 2), ("b", 0, 2)), linear({"a": 1, "b": 1})], ids=["stack", "linear"]
)
@pytest.mark.parametrize(("fields", "where", "expected", "found"), DIFFERENT)
def test_a_config_of_another_shape_is_refused_by_field(
    config: Config, merge: Merge, fields: dict[str, Any], where: str, expected: str, found: str
) -> None:
    ours = config(2, hidden_act="silu", rope_theta=2.0, sliding_window=16, attention_bias=False)
    with pytest.raises(SourceError, match="b is of another shape than a") as caught:
        plan_merge(merge, {"a": layout(2, ours), "b": layout(2, ours | fields)}, 10**9)
    assert (caught.value.where, caught.value.expected, caught.value.found) == (where, expected, found)


def test_what_does_not_concern_the_layers_may_differ(config: Config) -> None:
    a = config(2, eos_token_id=1, attention_dropout=0.0, transformers_version="4", head_dim=4, rope_theta=2.0)
    b = config(2, eos_token_id=2, attention_dropout=0.1, transformers_version="5", head_dim=None)
    b |= {"rope_parameters": {"rope_theta": 2.0}, "_attn": 1, "unsloth_fixed": True, "vocab_size": 9}
    sources = {"a": layout(2, a), "b": layout(2, b)}
    assert plan_merge(stack(("a", 0, 2), ("b", 0, 2)), sources, 10**9).layout.config == a | {"num_hidden_layers": 4}


SHAPES = [
    ({"mlp.weight": (4, 5)}, "model.layers.1.mlp.weight", "(4, 3), as in a", "(4, 5) in b"),
    ({"extra": (1,)}, "model.layers.1.extra", "none, as in a", "(1,) in b"),
    ({"A_log": None}, "A_log in the layers", "(3,), as in a", "none in b"),
]


@pytest.mark.parametrize(("shapes", "where", "expected", "found"), SHAPES)
def test_a_layer_of_another_shape_is_refused_by_tensor(
    config: Config, shapes: dict[str, Any], where: str, expected: str, found: str
) -> None:
    other = layout(2, config(2), **{name: shape for name, shape in shapes.items() if shape})
    kept = {name: info for name, info in other.tensors.items() if not ("A_log" in shapes and "A_log" in name)}
    sources = {"a": layout(2, config(2)), "b": Layout(other.config, kept, ())}
    with pytest.raises(SourceError, match="another shape") as caught:
        plan_merge(stack(("a", 0, 2), ("b", 1, 2)), sources, 10**9)
    assert (caught.value.where, caught.value.expected, caught.value.found) == (where, expected, found)


def test_layers_that_are_not_used_may_be_of_any_shape(config: Config) -> None:
    b = layout(2, config(2))
    odd = dict(b.tensors) | {"model.layers.0.mlp.weight": TensorInfo("BF16", (9, 9))}
    sources = {"a": layout(2, config(2)), "b": Layout(b.config, odd, ())}
    assert plan_merge(stack(("a", 0, 2), ("b", 1, 2)), sources, 10**9).layout.layers == 3


def test_layers_must_be_named_alike(config: Config) -> None:
    b = layout(2, config(2))
    renamed = {name.replace("model.", "model.language_model."): info for name, info in b.tensors.items()}
    sources = {"a": layout(2, config(2)), "b": Layout(b.config, renamed, ())}
    with pytest.raises(SourceError, match="names its layers otherwise"):
        plan_merge(stack(("a", 0, 2), ("b", 0, 2)), sources, 10**9)


def test_a_mean_accounts_for_every_tensor(config: Config) -> None:
    sources = {name: layout(2, config(2)) for name in "abc"}
    plan = plan_merge(linear({"c": 1, "b": 3}), sources, 10**9)
    accounted(plan, sources)
    assert {row.source for row in plan.dropped} == {"a"}
    assert all("config and the tokenizer" in row.reason for row in plan.dropped)
    assert {output.name for output in plan.outputs} == set(sources["a"].tensors)
    for output in plan.outputs:
        assert [made_of.source for made_of in output.inputs] == ["c", "b"]
        assert output.parameters == {"weight": (1, 3), "normalize": True}
    assert (plan.seams, plan.layout.config) == ((), sources["a"].config)


def test_the_order_of_a_sum_is_that_of_the_models(config: Config) -> None:
    sources = {name: layout(1, config(1)) for name in "abc"}
    output = plan_merge(linear({"b": 2, "c": 3, "a": 1}), sources, 10**9).outputs[0]
    assert [made_of.source for made_of in output.inputs] == ["b", "c", "a"]
    assert output.parameters == {"weight": (2, 3, 1), "normalize": True}


@pytest.mark.parametrize("weights", [{"a": 1.0, "b": -1.0}, {"a": 0.0, "b": 0.0}, {"a": 0.1, "b": 0.2, "c": -0.3}])
def test_weights_without_a_mean_are_refused(config: Config, weights: dict[str, float]) -> None:
    with pytest.raises(RecipeError, match="give no mean"):
        plan_merge(linear(weights), {name: layout(1, config(1)) for name in weights}, 10**9)


def test_a_mean_needs_the_same_tensors(config: Config) -> None:
    a, b = layout(2, config(2)), layout(2, config(2))
    cases = [
        ({"lm_head.weight": TensorInfo("BF16", (7, 4))}, "lm_head.weight", "none, as in a"),
        ({"model.norm.weight": TensorInfo("BF16", (5,))}, "model.norm.weight", "(4,), as in a"),
    ]
    for changes, where, expected in cases:
        sources = {"a": a, "b": Layout(b.config, dict(b.tensors) | changes, ())}
        with pytest.raises(SourceError, match="another shape") as caught:
            plan_merge(linear({"a": 1, "b": 1}), sources, 10**9)
        assert (caught.value.where, caught.value.expected) == (where, expected)


def test_quantized_tensors_cannot_be_averaged(config: Config) -> None:
    a = layout(1, config(1))
    packed = Layout(a.config, dict(a.tensors) | {"model.norm.weight": TensorInfo("U8", (4,))}, ())
    with pytest.raises(SourceError, match=r"cannot be averaged[\s\S]*U8"):
        plan_merge(linear({"a": 1, "b": 1}), {"a": a, "b": packed}, 10**9)


@pytest.mark.parametrize(
    "fields", [{"num_hidden_layers": 2}, {"layer_types": ["y", "x"]}, {"first_k_dense_replace": 2}]
)
def test_a_mean_needs_layers_of_the_same_kinds(config: Config, fields: dict[str, Any]) -> None:
    ours = config(1, layer_types=["x", "y"], first_k_dense_replace=1)
    with pytest.raises(SourceError, match="another shape") as caught:
        plan_merge(linear({"a": 1, "b": 1}), {"a": layout(1, ours), "b": layout(1, ours | fields)}, 10**9)
    assert caught.value.where == f"{next(iter(fields))} in config.json"


# -- blends of slices ---------------------------------------------------------------------------------------------


def slerp_of_slices(*slices: tuple[tuple[str, int, int], ...]) -> Merge:
    parts = [
        {"models": [{"source": source, "layers": [start, end]} for source, start, end in part]} for part in slices
    ]
    return MERGE.validate_python({"method": "slerp", "base": "a", "t": [0, 1], "slices": parts})


def test_slices_are_blended_layer_by_layer(config: Config) -> None:
    sources = {name: layout(4, config(4)) for name in "ab"}
    plan = plan_merge(slerp_of_slices((("a", 0, 3), ("b", 1, 4)), (("b", 2, 3), ("a", 3, 4))), sources, 10**9)
    accounted(plan, sources)
    made = {output.name: output for output in plan.outputs}
    assert plan.layout.layers == 4
    assert made["model.layers.2.A_log"].inputs == (
        Input("a", "model.layers.2.A_log"),
        Input("b", "model.layers.3.A_log"),
    )
    assert made["model.layers.3.A_log"].inputs == (
        Input("a", "model.layers.3.A_log"),
        Input("b", "model.layers.2.A_log"),
    )
    depths = [made[f"model.layers.{layer}.A_log"].parameters["t"] for layer in range(4)]
    assert depths == [0, 0.5, 1, 1]
    assert made["model.embed_tokens.weight"].parameters["t"] == 0
    assert made["model.norm.weight"].parameters["t"] == 1


def test_a_slice_of_layers_of_different_kinds_is_refused(config: Config) -> None:
    whole = layout(2, config(2, layer_types=["x", "y"]))
    tensors = {name: info for name, info in whole.tensors.items() if name != "model.layers.1.A_log"}
    sources = dict.fromkeys("ab", Layout(whole.config, tensors, whole.files))
    assert plan_merge(slerp_of_slices((("a", 0, 2), ("b", 0, 2))), sources, 10**9).layout.layers == 2
    with pytest.raises(SourceError, match="different kinds") as caught:
        plan_merge(slerp_of_slices((("a", 0, 1), ("b", 1, 2))), sources, 10**9)
    assert caught.value.where == "model.layers.1.A_log in b"


def test_counters_are_copied_from_the_base(config: Config) -> None:
    a = layout(1, config(1))
    counted = Layout(a.config, dict(a.tensors) | {"model.batches": TensorInfo("I64", ())}, a.files)
    plan = plan_merge(linear({"a": 1, "b": 1}), {"a": counted, "b": counted}, 10**9)
    (output,) = [output for output in plan.outputs if output.name == "model.batches"]
    assert (output.is_copy, output.inputs) == (True, (Input("a", "model.batches"),))
    assert plan.notes == ("1 tensors of whole numbers, which have no mean, are copied from a.",)
