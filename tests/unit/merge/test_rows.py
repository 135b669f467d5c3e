from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suture.checkpoint.layout import Layout, TensorInfo
from suture.errors import SourceError
from suture.merge.rows import RowMap, Run, TokenTensors, find_token_tensors

TENSORS = (("a", "embed"), ("b", "embed"))


def row_map(rows: list[tuple[int, int]]) -> RowMap:
    place, row = np.array(rows, np.int32).reshape(-1, 2).T
    return RowMap(TENSORS, place, row)


def model(rows: int, names: dict[str, tuple[int, ...]], **config: object) -> Layout:
    fields = {"num_hidden_layers": 1, "vocab_size": rows, **config}
    return Layout(fields, {name: TensorInfo("BF16", shape) for name, shape in names.items()}, ())


def test_runs_are_as_few_as_can_be() -> None:
    found = row_map([(0, 5), (0, 6), (1, 7), (1, 9), (-1, -1), (-1, -1), (0, 0)])
    assert list(found.runs()) == [
        Run("a", "embed", 5, 2),
        Run("b", "embed", 7, 1),
        Run("b", "embed", 9, 1),
        Run(None, "", -1, 2),
        Run("a", "embed", 0, 1),
    ]
    assert list(found.runs(1, 5)) == [
        Run("a", "embed", 6, 1),
        Run("b", "embed", 7, 1),
        Run("b", "embed", 9, 1),
        Run(None, "", -1, 1),
    ]
    assert list(found.runs(3, 3)) == []


rows = st.lists(st.one_of(st.just((-1, -1)), st.tuples(st.integers(0, 1), st.integers(0, 5))), max_size=30)


@given(rows, st.integers(0, 30), st.integers(0, 30))
def test_runs_say_the_same_as_the_rows(entries: list[tuple[int, int]], start: int, stop: int) -> None:
    plain: list[tuple[int, int]] = []
    for source, _, first, count in row_map(entries).runs(start, stop):
        number = {"a": 0, "b": 1, None: -1}[source]
        plain += [(number, first + offset if source else -1) for offset in range(count)]
    assert plain == entries[start:stop]


def test_a_whole_tensor_is_a_copy() -> None:
    whole = row_map([(1, 0), (1, 1)])
    assert whole.is_copy(2)
    assert not whole.is_copy(3)
    assert not row_map([(1, 1), (1, 2)]).is_copy(2)
    assert not row_map([(1, 0), (0, 1)]).is_copy(2)
    assert not row_map([(-1, -1), (-1, -1)]).is_copy(2)


@pytest.mark.parametrize(
    ("names", "embedding", "head"),
    [
        ({"model.embed_tokens.weight": (9, 4), "lm_head.weight": (9, 4)}, 1, 1),
        ({"model.embed_tokens.weight": (9, 4), "lm_head.weight": (9, 4), "lm_head.bias": (9,)}, 1, 2),
        ({"transformer.wte.weight": (9, 4), "transformer.wpe.weight": (9, 4), "transformer.ln_f.bias": (9,)}, 1, 0),
        ({"gpt_neox.embed_in.weight": (9, 4), "embed_out.weight": (9, 4)}, 1, 1),
        ({"model.tok_embeddings.weight": (9, 4), "output.weight": (9, 4), "model.norm.weight": (9,)}, 1, 1),
        ({"transformer.word_embeddings.weight": (9, 4), "transformer.word_embeddings_layernorm.bias": (9,)}, 1, 0),
        ({"backbone.embeddings.weight": (9, 4), "lm_head.weight": (9, 4)}, 1, 1),
        ({"model.embed_tokens.weight": (9, 4), "mtp.fc.weight": (4, 8), "model.layers.0.up.weight": (9, 4)}, 1, 0),
    ],
)  # fmt: skip
def test_tensors_are_found_by_name_and_length(names: dict[str, tuple[int, ...]], embedding: int, head: int) -> None:
    found = find_token_tensors(model(9, names), "a")
    assert found == TokenTensors(9, tuple(names)[:embedding], tuple(names)[embedding : embedding + head])


def test_towers_beside_the_text_are_passed_over() -> None:
    names = {
        "model.language_model.embed_tokens.weight": (9, 4),
        "model.visual.patch_embed.proj.weight": (9, 4),
        "model.visual.pos_embed.weight": (9, 4),
        "model.audio_tower.embed_tokens.weight": (9, 4),
        "lm_head.weight": (9, 4),
    }
    layout = model(5, names, text_config={"num_hidden_layers": 1, "vocab_size": 9})
    assert find_token_tensors(layout, "a").names == ("model.language_model.embed_tokens.weight", "lm_head.weight")


def test_layers_for_prediction_may_have_their_own() -> None:
    names = {
        "model.embed_tokens.weight": (9, 4),
        "model.layers.1.embed_tokens.weight": (9, 4),
        "model.layers.1.shared_head.head.weight": (9, 4),
        "lm_head.weight": (9, 4),
    }
    found = find_token_tensors(model(9, names), "a")
    assert found.embedding == ("model.embed_tokens.weight", "model.layers.1.embed_tokens.weight")
    assert found.head == ("lm_head.weight", "model.layers.1.shared_head.head.weight")


def test_a_config_may_leave_the_length_to_transformers() -> None:
    layout = Layout({"num_hidden_layers": 1}, {"model.embed_tokens.weight": TensorInfo("BF16", (9, 4))}, ())
    assert find_token_tensors(layout, "a").rows == 9


@pytest.mark.parametrize(
    "names",
    [
        {"model.embed_tokens.weight": (10, 4), "lm_head.weight": (9, 4)},  # spare rows in the embedding alone
        {"model.embed_tokens.weight": (9, 4), "model.embed_tokens_per_layer.weight": (8, 4)},
        {"model.embed_tokens.weight": (9, 4), "model.project.weight": (9, 4)},
        {"model.norm.weight": (9,)},
        {},
    ],
)
def test_what_is_unclear_is_refused(names: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(SourceError, match="unclear which tensors of a"):
        find_token_tensors(model(9, names), "a")


def test_the_embedding_stands_for_a_tied_head_and_nothing_else() -> None:
    tied = TokenTensors(9, ("model.embed_tokens.weight",), ())
    untied = TokenTensors(9, ("model.embed_tokens.weight",), ("lm_head.weight", "lm_head.bias"))
    assert tied.counterpart("lm_head.weight", untied) == "model.embed_tokens.weight"
    assert tied.counterpart("lm_head.bias", untied) is None
    assert untied.counterpart("lm_head.weight", untied) == "lm_head.weight"
    assert untied.counterpart("model.embed_tokens.weight", tied) == "model.embed_tokens.weight"
    without_bias = TokenTensors(9, ("model.embed_tokens.weight",), ("lm_head.weight",))
    assert without_bias.counterpart("lm_head.bias", untied) is None
