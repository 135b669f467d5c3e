"""What an adapter does to a checkpoint, told from names, shapes and config; and which adapters are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from suture.checkpoint.layout import Layout
from suture.checkpoint.tensors import TensorInfo
from suture.errors import CheckpointError, InputError, SourceError
from suture.heal.fusing.adapter import Change, Fusion, plan_fusion

Tensors = dict[str, TensorInfo]

ROWS, COLUMNS, RANK, TOKENS, WIDTH = 4, 3, 2, 10, 3
PARTS = ("self_attn.q_proj", "mlp.down_proj")
CONFIG: dict[str, JsonValue] = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": 8}


def f32(*shape: int) -> TensorInfo:
    return TensorInfo("F32", shape)


def stacks(*each: tuple[str, int]) -> Tensors:
    """Return the tensors of stacks of layers, (prefix, layers) each."""
    return {
        f"{prefix}.{layer}.{part}.weight": f32(ROWS, COLUMNS)
        for prefix, layers in each
        for layer in range(layers)
        for part in PARTS
    }


def factors(*modules: str, rank: int = RANK, rows: int = ROWS, columns: int = COLUMNS) -> Tensors:
    pairs = {"lora_A.weight": f32(rank, columns), "lora_B.weight": f32(rows, rank)}
    return {f"base_model.model.{module}.{role}": info for module in modules for role, info in pairs.items()}


def modules(prefix: str, layers: int) -> list[str]:
    return [f"{prefix}.{layer}.{part}" for layer in range(layers) for part in PARTS]


def plan(model: Tensors, adapter: Tensors, config: dict[str, Any] | None = None, **model_config: JsonValue) -> Fusion:
    layout = Layout({"model_type": "llama", **model_config}, model, ())
    return plan_fusion(layout, Layout(CONFIG | (config or {}), adapter, ()), "somebody/adapter")


ONE = stacks(("model.layers", 1))
Q = "model.layers.0.self_attn.q_proj"
TOKEN_TENSORS = {"model.embed_tokens.weight": f32(TOKENS, WIDTH), "lm_head.weight": f32(TOKENS, WIDTH)}


# -- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trained", "stored"),
    [
        ("model.layers", "model.layers"),
        ("model.layers", "model.language_model.layers"),
        ("model.language_model.layers", "model.layers"),
        ("model.language_model.layers", "language_model.model.layers"),
        ("model.layers", "layers"),
    ],
)
@pytest.mark.parametrize("head", ["lm_head", "language_model.lm_head"])
def test_names_of_text_and_multimodal_classes_match(trained: str, stored: str, head: str) -> None:
    model = stacks((stored, 3), ("mtp.layers", 1), ("vision.blocks", 2)) | TOKEN_TENSORS
    adapter = factors(*modules(trained, 3)) | factors(head, rows=TOKENS, columns=WIDTH)
    assert set(plan(model, adapter).changes) == {*stacks((stored, 3)), "lm_head.weight"}


@given(st.sets(st.integers(0, 9), min_size=1), st.sampled_from(["model.layers", "model.language_model.layers"]))
def test_each_update_keeps_its_layer(layers: set[int], stored: str) -> None:
    adapter = factors(*(f"model.layers.{layer}.{PARTS[0]}" for layer in layers))
    changes = plan(stacks((stored, 10)), adapter).changes
    assert {int(name.split(".")[-4]) for name in changes} == layers
    assert all(f"layers.{name.split('.')[-4]}." in str(change.left) for name, change in changes.items())


def test_names_that_fit_twice_are_refused() -> None:
    with pytest.raises(CheckpointError, match="cannot be told among") as caught:
        plan(stacks(("encoder.layers", 2), ("decoder.layers", 2)), factors(*modules("model.layers", 2)))
    assert "['decoder.', 'encoder.']" in str(caught.value.found)


def test_layers_that_are_not_there_are_refused() -> None:
    with pytest.raises(CheckpointError, match="cannot be told among"):
        plan(ONE, factors(*modules("model.layers", 2)))


@pytest.mark.parametrize(
    "spell",
    [
        lambda name: name,
        lambda name: name.replace(".weight", ".default.weight"),
        lambda name: name.removeprefix("base_model.model."),
        lambda name: name.replace("base_model.model.", "base_model.model.base_model.model."),
    ],
)
def test_every_spelling_is_the_same_change(spell: Any) -> None:
    adapter = {spell(name): info for name, info in factors(Q).items()}
    a, b = adapter
    assert plan(ONE, adapter).changes == {f"{Q}.weight": Change(f"{Q}.weight", left=b, right=a, scale=4)}


def test_two_adapters_in_one_file_are_refused() -> None:
    adapter = factors(Q)
    adapter |= {name.replace(".weight", ".other.weight"): info for name, info in adapter.items()}
    with pytest.raises(CheckpointError, match="more than one adapter"):
        plan(ONE, adapter)


# -- arithmetic ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({}, 4),
        ({"use_rslora": True}, 8 / 2**0.5),
        ({"alpha_pattern": {"k_proj": 1, "q_proj": 6}}, 3),
        ({"alpha_pattern": {r"layers\.\d+\.self_attn\.(q|v)_proj": 2, "q_proj": 6}}, 1),
        ({"alpha_pattern": {"^model.layers.0.self_attn.q_proj": 10}}, 5),
        ({"alpha_pattern": {"proj": 6}}, 4),  # the end of a name means its last whole parts
        ({"r": 16, "rank_pattern": {"q_proj": 2}}, 4),
        ({"lora_alpha": 1.5}, 0.75),
    ],
)
def test_the_scale_is_what_the_config_says_of_the_layer(config: dict[str, Any], scale: float) -> None:
    assert plan(ONE, factors(Q), config).changes[f"{Q}.weight"].scale == pytest.approx(scale)


@pytest.mark.parametrize(
    ("shape", "model_type", "is_transposed"),
    [((4, 3), "llama", False), ((3, 4), "gpt2", True), ((4, 4), "gpt2", True), ((4, 4), "llama", False)],
)
def test_which_way_round_a_tensor_lies(shape: tuple[int, int], model_type: str, is_transposed: bool) -> None:
    columns = 4 if shape == (4, 4) else 3
    change = plan({f"{Q}.weight": f32(*shape)}, factors(Q, columns=columns), model_type=model_type).changes[
        f"{Q}.weight"
    ]
    assert change.is_transposed is is_transposed
    assert ("lora_A" in str(change.left)) is is_transposed


def test_a_head_that_is_made_is_counted_in_the_layout() -> None:
    model = ONE | {"model.embed_tokens.weight": f32(TOKENS, WIDTH)}
    fusion = plan(
        model,
        factors("lm_head", rows=TOKENS, columns=WIDTH),
        text_config={"num_hidden_layers": 1, "tie_word_embeddings": True},
    )
    assert fusion.layout.size == sum(info.nbytes for info in model.values()) + 4 * TOKENS * WIDTH
    assert fusion.layout.config["tie_word_embeddings"] is False
    assert fusion.layout.config["text_config"] == {"num_hidden_layers": 1, "tie_word_embeddings": False}
    assert fusion.changes["lm_head.weight"].base == "model.embed_tokens.weight"


# -- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("peft_type", "LOHA"),
        ("peft_type", None),
        ("task_type", "SEQ_CLS"),
        ("trainable_token_indices", [1, 2]),
        ("target_parameters", ["mlp.experts.gate_up_proj"]),
        ("alora_invocation_tokens", [1]),
        ("layer_replication", [[0, 1], [0, 1]]),
        ("use_qalora", True),
        ("use_bdlora", {"nblocks": 2}),
        ("kasa_config", {"beta": 1}),
        ("megatron_config", {"a": 1}),
        ("a_setting_of_next_year", 1),
    ],
)
def test_what_is_more_than_lora_is_refused_by_name(setting: str, value: JsonValue) -> None:
    with pytest.raises(SourceError, match=setting) as caught:
        plan(ONE, factors(Q), {setting: value})
    assert "merge_and_unload" in str(caught.value.way_out)


@pytest.mark.parametrize("start", ["pissa", "pissa_niter_4", "olora", "corda", "loftq", "lora_ga", "of next year"])
def test_an_adapter_for_changed_weights_is_refused(start: str) -> None:
    with pytest.raises(SourceError, match="weights that its training changed") as caught:
        plan(ONE, factors(Q), {"init_lora_weights": start})
    assert start in str(caught.value.found)


@pytest.mark.parametrize("start", [True, False, "gaussian", "eva", "orthogonal"])
def test_other_starts_do_not_matter(start: bool | str) -> None:
    assert plan(ONE, factors(Q), {"init_lora_weights": start}).changes


def test_settings_that_are_off_do_not_matter() -> None:
    off = {"use_qalora": False, "layer_replication": None, "target_parameters": [], "a_setting_of_next_year": {}}
    assert plan(ONE, factors(Q), off).changes


def test_a_quantized_model_is_refused() -> None:
    with pytest.raises(SourceError, match="quantized"):
        plan(ONE, factors(Q), quantization_config={"quant_method": "bitsandbytes"})


@pytest.mark.parametrize("dtype", ["I8", "F8_E4M3"])
def test_integers_and_eight_bits_are_refused(dtype: str) -> None:
    model = {name: TensorInfo(dtype, info.shape) for name, info in ONE.items()}
    with pytest.raises(CheckpointError, match="does not fit") as caught:
        plan(model, factors(Q))
    assert dtype in str(caught.value.found)


def test_a_factor_without_its_partner_is_refused() -> None:
    adapter = factors(Q)
    del adapter[f"base_model.model.{Q}.lora_B.weight"]
    with pytest.raises(CheckpointError, match="pairs") as caught:
        plan(ONE, adapter)
    assert caught.value.found == f"{Q}: lora_B missing"


@pytest.mark.parametrize(
    ("config", "tensors", "problem"),
    [
        ({}, {}, "pairs"),
        ({"use_dora": True}, factors(Q), "pairs"),
        ({}, factors(Q) | {f"{Q}.lora_magnitude_vector": f32(ROWS)}, "pairs"),
        ({"use_dora": True}, factors(Q) | {f"{Q}.lora_magnitude_vector": f32(COLUMNS)}, "does not fit"),
        ({}, {f"{Q}.lora_A.weight": f32(RANK, COLUMNS, 1, 1), f"{Q}.lora_B.weight": f32(ROWS, RANK, 1, 1)}, "pairs"),
        ({}, {f"{Q}.lora_A.weight": f32(RANK, COLUMNS), f"{Q}.lora_B.weight": f32(ROWS, RANK + 1)}, "pairs"),
        ({}, factors(Q, columns=COLUMNS + 1), "does not fit"),
        ({}, factors(Q, rank=RANK + 1), "another rank"),
        ({"r": "two"}, factors(Q), "malformed"),
        ({"lora_alpha": None}, factors(Q), "malformed"),
        ({"alpha_pattern": [1]}, factors(Q), "malformed"),
        ({"alpha_pattern": {"q_proj": True}}, factors(Q), "malformed"),
        ({"rank_pattern": {"(": 4}}, factors(Q), "malformed"),
        ({"rank_pattern": {"(a+)+": 4}}, factors(Q), "too intricate"),
        ({"rank_pattern": {".*.*.*.*": 4}}, factors(Q), "too intricate"),
        ({}, factors(Q) | {f"{Q}.lora_B.bias": f32(ROWS)}, "does not have"),
        ({}, factors(Q) | {f"{Q}.lora_A.bias": f32(RANK)}, "pairs"),
        ({}, factors(Q) | {"score.weight": f32(2, WIDTH)}, "cannot be told"),
        ({}, factors(Q) | {f"{Q}.no_such_part": f32(2)}, "does not have"),
    ],
)  # fmt: skip
def test_what_is_malformed_or_does_not_fit_is_refused(config: dict[str, Any], tensors: Tensors, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        plan(ONE, tensors, config)
    assert caught.value.way_out


@pytest.mark.parametrize(
    "adapter",
    [
        {"base_model.model.model.embed_tokens.weight": f32(TOKENS + 2, WIDTH)},
        {"base_model.model.lm_head.weight": f32(TOKENS + 2, WIDTH)},
        factors("lm_head", rows=TOKENS + 2, columns=WIDTH),
        {
            "model.embed_tokens.lora_embedding_A": f32(RANK, TOKENS + 2),
            "model.embed_tokens.lora_embedding_B": f32(WIDTH, RANK),
        },
    ],
)
def test_a_vocabulary_of_another_size_is_refused(adapter: Tensors) -> None:
    with pytest.raises(CheckpointError, match="vocabulary of another size") as caught:
        plan(ONE | TOKEN_TENSORS, factors(Q) | adapter)
    assert (caught.value.expected, caught.value.found) == ("10 rows, as the checkpoint has", "12 rows")
    assert "resize_token_embeddings" in str(caught.value.way_out)
