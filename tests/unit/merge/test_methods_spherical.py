"""Averages, straight and along arcs, against plain fp64 arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from suture.checkpoint.floats import from_float32, to_float32
from tests.unit.merge import plain
from tests.unit.merge.plain import close, draw, merged, settings_of

VECTORS = arrays(np.float32, 8, elements=st.floats(-100, 100, width=32).map(lambda x: x if abs(x) > 1e-3 else 0))
WEIGHTS = st.tuples(*[st.integers(1, 1000).map(float)] * 3)
SHAPE = (64, 96)


def as_vectors(vector: np.ndarray, *, row_wise: bool) -> list[np.ndarray]:
    return list(vector if row_wise else vector.T)


# -- passthrough, linear


@given(VECTORS, st.floats(-2, 2))
def test_passthrough_is_the_model_times_a_factor(model: np.ndarray, scale: float) -> None:
    np.testing.assert_array_equal(merged("passthrough", [model], scale=scale), model * np.float32(scale))


@given(VECTORS, VECTORS, VECTORS, WEIGHTS, st.booleans())
def test_linear_is_the_weighted_mean_or_sum(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, weight: tuple[float, ...], normalize: bool
) -> None:
    found = merged("linear", [a, b, c], weight=weight, normalize=normalize)
    largest = 100.0 if normalize else 100 * sum(weight)
    close(found, plain.linear([a, b, c], weight, normalize=normalize), of=np.array(largest))


@given(VECTORS, VECTORS, WEIGHTS, st.integers(1, 1000))
def test_only_the_proportions_of_the_weights_matter(
    a: np.ndarray, b: np.ndarray, weight: tuple[float, ...], scale: int
) -> None:
    scaled = merged("linear", [a, b], weight=(weight[0] * scale, weight[1] * scale), normalize=True)
    np.testing.assert_array_equal(merged("linear", [a, b], weight=weight[:2], normalize=True), scaled)


@given(VECTORS, st.lists(st.floats(0.01, 1), min_size=2, max_size=4))
def test_the_mean_of_equal_bf16_models_is_the_model(values: np.ndarray, weight: list[float]) -> None:
    model = torch.from_numpy(values).bfloat16().float().numpy()
    mean = merged("linear", [model] * len(weight), weight=tuple(weight), normalize=True)
    np.testing.assert_array_equal(to_float32(from_float32(mean, "BF16"), "BF16"), model)


def test_negative_weights_extrapolate() -> None:
    a, b = np.float32([3]), np.float32([1])
    np.testing.assert_array_equal(merged("linear", [a, b], weight=(2.0, -1.0), normalize=True), [5])


@given(VECTORS)
def test_one_model_with_weight_1_is_the_model(model: np.ndarray) -> None:
    assert merged("linear", [model], weight=(1.0,), normalize=False).tobytes() == model.tobytes()


# -- slerp, nuslerp


@pytest.mark.parametrize("t", [0.0, 0.25, 0.5, 0.9, 1.0, 1.2])
def test_slerp_is_on_the_arc(t: float) -> None:
    _, (a, b, _) = draw(SHAPE)
    b = b - 0.5 * a
    close(merged("slerp", [a, b], t=t), plain.slerp(a, b, t))


@given(VECTORS, VECTORS)
def test_slerp_starts_at_the_first_and_ends_at_the_second(a: np.ndarray, b: np.ndarray) -> None:
    np.testing.assert_array_equal(merged("slerp", [a, b], t=0.0), a)
    np.testing.assert_array_equal(merged("slerp", [a, b], t=1.0), b)


@given(VECTORS, VECTORS, st.floats(0, 1))
def test_slerp_from_the_other_end(a: np.ndarray, b: np.ndarray, t: float) -> None:
    close(merged("slerp", [a, b], t=t), merged("slerp", [b, a], t=1 - t), of=np.array(200.0))


@given(VECTORS, st.floats(0, 1))
def test_the_arc_between_vectors_of_one_length_keeps_it(a: np.ndarray, t: float) -> None:
    length = np.linalg.norm(a)
    assume(length > 1)
    b = np.roll(a, 1) * np.float32([1, -1] * 4)
    found = merged("slerp", [a, b], t=t)
    assert abs(np.linalg.norm(found) / length - 1) < 3e-4  # a straight line beyond a cosine of 0.9995


def test_opposite_and_parallel_vectors_are_on_a_straight_line() -> None:
    a = np.float32([3, 4])
    np.testing.assert_array_equal(merged("slerp", [a, -a], t=0.5), [0, 0])
    np.testing.assert_allclose(merged("slerp", [a, 2 * a], t=0.5), 1.5 * a)


def test_a_vector_of_0_is_a_right_angle_away() -> None:
    a = np.float32([3, 4])
    np.testing.assert_allclose(merged("slerp", [a, 0 * a], t=0.5), np.sqrt(0.5) * a, rtol=1e-6)
    np.testing.assert_array_equal(merged("slerp", [0 * a, 0 * a], t=0.5), 0 * a)


@pytest.mark.parametrize("based", [False, True])
def test_nuslerp_of_whole_tensors(based: bool) -> None:
    base, (a, b, _) = draw(SHAPE)
    found = merged("nuslerp", [a, b], base if based else None, weight=(1.0, 3.0), flatten=True, row_wise=False)
    origin = base if based else 0 * base
    close(found, origin + plain.slerp(a - origin, b - origin, 0.75, beyond=1))


@pytest.mark.parametrize("based", [False, True])
@pytest.mark.parametrize("row_wise", [False, True])
def test_nuslerp_of_rows_or_columns(row_wise: bool, based: bool) -> None:
    base, (a, b, _) = draw(SHAPE)
    settings = {"weight": (1.0, 3.0), "flatten": False, "row_wise": row_wise}
    found = merged("nuslerp", [a, b], base if based else None, length=7 * SHAPE[1], **settings)
    origin = base if based else 0 * base
    pairs = zip(as_vectors(a - origin, row_wise=row_wise), as_vectors(b - origin, row_wise=row_wise), strict=True)
    expected = np.array([plain.slerp(one, other, 0.75, beyond=1) for one, other in pairs])
    close(found, origin + (expected if row_wise else expected.T))


# -- means of several


@pytest.mark.parametrize("based", [False, True])
@pytest.mark.parametrize(("dialect", "steps"), [("paper", 1), ("mergekit", 0)])
def test_multislerp_is_one_step_of_the_karcher_mean_or_none(dialect: str, steps: int, based: bool) -> None:
    base, models = draw(SHAPE)
    weight = (0.2, 0.5, 0.8)
    found = merged("multislerp", models, base if based else None, weight=weight, dialect=dialect)
    origin = base if based else 0 * base
    close(found, origin + plain.spherical_mean([model - origin for model in models], weight, steps))


@pytest.mark.parametrize(("steps", "tol"), [(1, 1e-5), (3, 0.0), (100, 1e-5)])
def test_karcher_is_the_mean_on_the_sphere(steps: int, tol: float) -> None:
    _, models = draw(SHAPE)
    models = [models[0], models[1] - 0.7 * models[0], 3 * models[2]]
    weight = (0.2, 0.5, 0.8)
    found = merged("karcher", models, weight=weight, max_iter=steps, tol=tol)
    close(found, plain.spherical_mean(models, weight, steps, tol))


def test_the_karcher_mean_of_two_is_the_middle_of_the_arc() -> None:
    a, b = np.float32([1, 0, 0]), np.float32([0, 1, 0])
    found = merged("karcher", [a, b], weight=(1.0, 3.0), max_iter=50, tol=1e-9)
    close(found, plain.slerp(a, b, 0.75))


@pytest.mark.parametrize("method", ["karcher", "multislerp"])
def test_a_vector_of_0_has_no_direction_but_a_length(method: str) -> None:
    a = np.float32([3, 4])
    settings = settings_of(method, weight=(1.0, 1.0, 1.0))
    np.testing.assert_allclose(merged(method, [a, a, 0 * a], **settings), a * 2 / 3, rtol=1e-6)
    np.testing.assert_array_equal(merged(method, [0 * a] * 3, **settings), 0 * a)


@pytest.mark.parametrize("method", ["karcher", "multislerp"])
def test_of_opposite_vectors_the_first_is_the_mean(method: str) -> None:
    a = np.float32([3, 4])
    found = merged(method, [a, -a], **settings_of(method, weight=(1.0, 1.0)))
    np.testing.assert_array_equal(found, a)


# -- model_stock


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("dialect", ["paper", "mergekit"])
def test_model_stock_is_on_the_line_from_the_base_to_the_mean(dialect: str, count: int) -> None:
    base, models = draw(SHAPE, count)
    common = draw(SHAPE, 1, seed=9)[1][0] - base
    models = [model + common for model in models]
    found = merged("model_stock", models, base, filter_wise=False, dialect=dialect)
    close(found, plain.model_stock(models, base, least=0))


@pytest.mark.parametrize(("dialect", "least"), [("paper", 0.0), ("mergekit", -np.inf)])
def test_model_stock_of_models_that_went_opposite_ways(dialect: str, least: float) -> None:
    base, (a, b, _) = draw(SHAPE)
    b = base - 0.5 * (a - base) + 0.5 * (b - base)
    found = merged("model_stock", [a, b], base, filter_wise=False, dialect=dialect)
    close(found, plain.model_stock([a, b], base, least=least))


@pytest.mark.parametrize(("dialect", "product"), [("paper", 0.0), ("mergekit", 1e-6)])
def test_model_stock_of_models_that_hardly_changed(dialect: str, product: float) -> None:
    base, models = draw(SHAPE, step=2.0**-24, spread=4)
    common = draw(SHAPE, 1, seed=9, step=2.0**-24, spread=4)[1][0] - draw(SHAPE, 1, seed=9, step=2.0**-24)[0]
    models = [model - base + common for model in models]  # of a base of 0, for the numbers to be exact
    found = merged("model_stock", models, 0 * base, filter_wise=False, dialect=dialect)
    expected = plain.model_stock(models, 0 * base, least=0, product=product)
    close(found, expected)
    paper = plain.model_stock(models, 0 * base, least=0)
    assert (np.abs(expected).max() < 0.9 * np.abs(paper).max()) == (dialect == "mergekit")


def test_model_stock_filter_by_filter() -> None:
    base, models = draw(SHAPE)
    found = merged("model_stock", models, base, length=5 * SHAPE[1], filter_wise=True, dialect="mergekit")
    rows = [plain.model_stock([model[row] for model in models], base[row], least=-np.inf) for row in range(SHAPE[0])]
    close(found, np.array(rows))
