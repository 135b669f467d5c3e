"""Exact order statistics, against a sort."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from suture.merge.methods import ranks
from suture.merge.methods.ranks import KEEP_ALL, KEEP_NONE, as_float, keep_from, keep_up_to, magnitudes_at
from suture.merge.stream import in_memory

VECTORS = arrays(np.float32, st.integers(1, 60), elements=st.floats(width=32, allow_nan=False))


def bits(values: np.ndarray) -> np.ndarray:
    return np.abs(values).view(np.int32)


@given(VECTORS, st.integers(1, 7), st.data())
def test_each_rank_is_what_a_sort_gives(values: np.ndarray, length: int, data: st.DataObject) -> None:
    wanted = data.draw(st.lists(st.integers(0, values.size - 1), min_size=1, max_size=4))
    ((*found,),) = magnitudes_at([in_memory([values], length=length)], lambda chunk: chunk.models, [wanted])
    assert found == np.sort(bits(values))[wanted].tolist()


@given(st.lists(VECTORS, min_size=1, max_size=4), st.data())
def test_several_tensors_are_one_long_vector(tensors: list[np.ndarray], data: st.DataObject) -> None:
    whole = np.concatenate(tensors)
    rank = data.draw(st.integers(0, whole.size - 1))
    ((found,),) = magnitudes_at(
        [in_memory([part], length=5) for part in tensors], lambda chunk: chunk.models, [[rank]]
    )
    assert found == np.sort(bits(whole))[rank]


def test_every_quantity_is_ranked_by_itself_in_bins_large_and_small() -> None:
    rng = np.random.default_rng(1)
    zeros = np.zeros(50_000, np.float32)
    same_bin = (1 + rng.random(50_000) * 2**-9).astype(np.float32)  # all share their upper half
    wide = (rng.standard_normal(50_000) * 10.0 ** rng.integers(-30, 30, 50_000)).astype(np.float32)
    inputs = in_memory([zeros, same_bin, wide], length=8192)
    asked = [[0, 49_999], [1, 777, 25_000], [25_000, 3]]
    found = magnitudes_at([inputs], lambda chunk: chunk.models, asked)
    for values, wanted, there in zip((zeros, same_bin, wide), asked, found, strict=True):
        assert there == np.sort(bits(values))[wanted].tolist()
        assert [as_float(one) for one in there] == np.sort(np.abs(values))[wanted].tolist()


@pytest.mark.parametrize("collected", [0, 2**24])
@pytest.mark.parametrize("bins", [2, 2**6, 2**20])
@pytest.mark.parametrize("order", ["sorted", "shuffled", "one chunk unlike the others"])
def test_neither_the_sample_nor_the_bins_change_the_answer(
    monkeypatch: pytest.MonkeyPatch, order: str, bins: int, collected: int
) -> None:
    monkeypatch.setattr(ranks, "_COLLECTED", collected)
    monkeypatch.setattr(ranks, "_BINS", bins)
    monkeypatch.setattr(ranks, "_SAMPLED", 3)
    rng = np.random.default_rng(2)
    values = (rng.standard_normal(4000) * 2.0 ** rng.integers(-20, 3, 4000)).astype(np.float32)
    if order == "sorted":
        values.sort()
    if order == "one chunk unlike the others":
        values[500:600] *= 2**40
    wanted = [0, 1, 37, 1900, 2000, 3990, 3999]
    inputs = in_memory([values], length=100)
    ((*found,),) = magnitudes_at([inputs], lambda chunk: chunk.models, [wanted])
    assert found == np.sort(bits(values))[wanted].tolist()


@pytest.mark.parametrize("low", [0.0, 0.5, 1.0, 2.0, 1e30])
@pytest.mark.parametrize("high", [0.0, 0.5, 1.0, 2.0, 1e30])
def test_whatever_the_sample_says_the_answer_is_the_same(
    monkeypatch: pytest.MonkeyPatch, low: float, high: float
) -> None:
    bracket = sorted(bits(np.float32([low, high])).tolist())
    monkeypatch.setattr(ranks, "_bracket", lambda *_: bracket)
    values = np.float32([0, 0, 1, 1, 1, 1.5, 2, 2, 3])
    ((*found,),) = magnitudes_at([in_memory([values], length=2)], lambda chunk: chunk.models, [range(9)])
    assert [as_float(one) for one in found] == values.tolist()


def test_no_rank_near_the_edge_of_many_equal_numbers_is_missed() -> None:
    values = np.repeat(np.float32([0, 1, 2]), [40_000, 30_000, 30_000])
    np.random.default_rng(4).shuffle(values)
    inputs = in_memory([values], length=2**11)
    edges = [rank + offset for rank in (40_000, 70_000) for offset in (-800, -100, -1, 0, 1, 100, 800)]
    ((*found,),) = magnitudes_at([inputs], lambda chunk: chunk.models, [edges])
    assert [as_float(one) for one in found] == np.sort(values)[edges].tolist()


def test_a_sample_that_misleads_costs_passes_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "_SAMPLED", 1)
    values = np.ones(64 * 100, np.float32)
    values.reshape(64, 100)[:, 1:] = 3  # the sample sees the first number of each chunk alone
    inputs = in_memory([values], length=100)
    ((*found,),) = magnitudes_at([inputs], lambda chunk: chunk.models, [[0, 63, 64, 6399]])
    assert [as_float(one) for one in found] == [1, 1, 3, 3]


def test_nan_ranks_above_infinity() -> None:
    values = np.array([np.nan, 1, -np.inf, 0], np.float32)
    ((*found,),) = magnitudes_at([in_memory([values])], lambda chunk: chunk.models, [[2, 3]])
    assert np.isinf(as_float(found[0]))
    assert np.isnan(as_float(found[1]))


@given(VECTORS, st.data())
def test_numbers_at_a_cut_are_kept_on_either_side(values: np.ndarray, data: st.DataObject) -> None:
    cut = int(data.draw(st.sampled_from(bits(values).tolist())))
    np.testing.assert_array_equal(keep_from(values.copy(), cut), np.where(bits(values) >= cut, values, 0))
    np.testing.assert_array_equal(keep_up_to(values.copy(), cut), np.where(bits(values) <= cut, values, 0))


@pytest.mark.parametrize("value", [0.0, -0.0, 1.5, -np.inf, np.nan])
def test_cuts_that_keep_all_or_none(value: float) -> None:
    values = np.array([value], np.float32)
    np.testing.assert_array_equal(keep_from(values.copy(), KEEP_ALL), values)
    np.testing.assert_array_equal(keep_up_to(values.copy(), KEEP_NONE), values)
    np.testing.assert_array_equal(keep_from(values.copy(), KEEP_NONE), [0])
    np.testing.assert_array_equal(keep_up_to(values.copy(), -1), [0])
