"""Methods on task vectors that draw nothing at random, against plain fp64 arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from suture.merge.methods.ties import whole_cuts
from suture.merge.stream import in_memory
from tests.unit.merge import plain
from tests.unit.merge.plain import close, draw, merged, settings_of

SHAPE = (48, 80)
GRID = st.integers(-8, 8).map(lambda step: step / 16)
MODELS = arrays(np.float32, (4, 6), elements=GRID)  # a base and three models: differences are exact, draws are many
WEIGHTS = st.tuples(*[st.sampled_from([0.25, 0.5, 1.0, 2.0])] * 3)
DENSITIES = st.tuples(*[st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0])] * 3)
DIALECTS = st.sampled_from(["paper", "mergekit"])


@given(MODELS, WEIGHTS, st.booleans(), st.sampled_from([0.5, 1.0]))
def test_task_arithmetic_adds_task_vectors(
    numbers: np.ndarray, weight: tuple[float, ...], normalize: bool, lambda_: float
) -> None:
    base, *models = numbers
    settings: dict[str, Any] = {"weight": weight, "normalize": normalize, "lambda_": lambda_}
    expected = plain.add_up(plain.deltas_of(models, base), base, settings)
    close(merged("task_arithmetic", models, base, **settings), expected, of=np.array(8.0))


def test_a_negative_weight_takes_away_what_a_model_has_learned() -> None:
    base, learned = np.float32([1, 2]), np.float32([4, 2])
    found = merged("task_arithmetic", [learned], base, weight=(-1.0,), normalize=False, lambda_=1.0)
    np.testing.assert_array_equal(found, [-2, 2])


@pytest.mark.parametrize("method", ["task_arithmetic", "ties"])
def test_weights_that_cancel_out_are_not_divided_by(method: str) -> None:
    base, models = draw(SHAPE, 2)
    settings = settings_of(method, weight=(0.5, -0.5), normalize=True, density=(1.0, 1.0))
    settings = {name: settings[name] for name in settings_of(method)}
    assert np.isfinite(merged(method, models, base, **settings)).all()


@given(MODELS, WEIGHTS, DENSITIES, st.booleans(), DIALECTS)
def test_ties_trims_elects_and_merges(
    numbers: np.ndarray, weight: tuple[float, ...], density: tuple[float, ...], normalize: bool, dialect: str
) -> None:
    base, *models = numbers
    settings: dict[str, Any] = {"weight": weight, "normalize": normalize, "lambda_": 0.75, "dialect": dialect}
    deltas = [
        plain.keep_largest(delta, share) for delta, share in zip(plain.deltas_of(models, base), density, strict=True)
    ]
    found = merged("ties", models, base, length=4, density=density, **settings)
    close(found, plain.vote(deltas, base, settings), of=np.array(8.0))


def test_the_paper_trims_each_model_as_a_whole() -> None:
    tensors = [draw((16, 32), 2, seed=seed, step=2**-9 * (1 + 3 * seed)) for seed in range(3)]
    density = (0.3, 0.8)
    settings = settings_of("ties", weight=(1.0, 1.0), density=density, dialect="paper")
    inputs = [in_memory(models, base, length=100) for base, models in tensors]
    cuts = whole_cuts(inputs, **settings)
    for number in range(2):
        whole = np.concatenate([(models[number] - base).reshape(-1) for base, models in tensors])
        kept = plain.keep_largest(whole, density[number])
        for (base, models), part in zip(tensors, np.split(kept, 3), strict=True):
            alone = merged(
                "ties",
                [models[number]],
                base,
                **settings | {"weight": (1.0,), "density": (density[number],), "lambda_": 1.0},
                cuts=(cuts["cuts"][number],),
            )
            close(alone, base + part.reshape(base.shape))


def test_a_draw_leaves_the_base_in_the_paper_and_is_positive_in_mergekit() -> None:
    base, up, down = np.float32([1]), np.float32([3]), np.float32([-1])
    settings = settings_of("ties", weight=(1.0, 1.0), density=(1.0, 1.0), lambda_=1.0)
    assert merged("ties", [up, down], base, **settings | {"dialect": "paper"}) == [1]
    assert merged("ties", [up, down], base, **settings | {"dialect": "mergekit"}) == [3]


def test_ties_of_one_whole_model_is_the_model() -> None:
    base, models = draw(SHAPE, 1)
    settings = settings_of("ties", weight=(1.0,), density=(1.0,), lambda_=1.0)
    np.testing.assert_array_equal(merged("ties", models, base, **settings), models[0])


@given(MODELS, WEIGHTS, DENSITIES, st.sampled_from([0.0, 0.1, 0.3, 1.0]))
def test_breadcrumbs_drops_both_ends(
    numbers: np.ndarray, weight: tuple[float, ...], density: tuple[float, ...], gamma: float
) -> None:
    base, *models = numbers
    settings: dict[str, Any] = {"weight": weight, "normalize": False, "lambda_": 0.75}
    deltas = [
        plain.drop_ends(delta, share, gamma) if int(share * delta.size) else 0 * delta
        for delta, share in zip(plain.deltas_of(models, base), density, strict=True)
    ]
    found = merged("breadcrumbs", models, base, length=4, density=density, gamma=(gamma,) * 3, **settings)
    close(found, plain.add_up(deltas, base, settings), of=np.array(8.0))


@pytest.mark.parametrize("dialect", ["paper", "mergekit"])
def test_breadcrumbs_ties_votes(dialect: str) -> None:
    base, models = draw(SHAPE)
    settings = settings_of("breadcrumbs_ties", dialect=dialect)
    deltas = [
        plain.drop_ends(delta, share, gamma)
        for delta, share, gamma in zip(
            plain.deltas_of(models, base), settings["density"], settings["gamma"], strict=True
        )
    ]
    close(merged("breadcrumbs_ties", models, base, **settings), plain.vote(deltas, base, settings))


@pytest.mark.parametrize("method", ["ties", "breadcrumbs", "dare_linear", "della_linear"])
def test_what_keeps_everything_is_task_arithmetic(method: str) -> None:
    base, (model, *_) = draw(SHAPE)
    common: dict[str, Any] = {"weight": (0.6,), "normalize": False, "lambda_": 0.9}
    keeping = settings_of(method, density=(1.0,), gamma=(0.0,), epsilon=(0.0,), **common)
    keeping = {name: keeping[name] for name in settings_of(method)}
    expected = merged("task_arithmetic", [model], base, **common)
    close(merged(method, [model], base, **keeping), expected)


@pytest.mark.parametrize("dialect", ["paper", "mergekit"])
@pytest.mark.parametrize("select_topk", [0.0, 0.3, 1.0])
def test_sce_selects_weighs_and_erases(select_topk: float, dialect: str) -> None:
    base, models = draw(SHAPE, 4, spread=1.5)  # of 4, the mean is exact, and so is the order of the variances
    deltas = np.array(plain.deltas_of(models, base))
    variances = deltas.var(axis=0)
    varying = variances.size if dialect == "paper" else np.count_nonzero(variances)
    kept = plain.keep_largest(variances, int(select_topk * varying) / variances.size) > 0
    deltas = deltas * (kept | (select_topk == 1))
    squares = (deltas**2).sum(axis=(1, 2))
    weight = squares / squares.sum() if squares.sum() else np.ones(4) / 4
    settings = {"weight": weight, "normalize": dialect == "mergekit", "lambda_": 1.0, "dialect": dialect}
    settings["weigh_votes"] = False
    found = merged("sce", models, base, select_topk=select_topk, dialect=dialect)
    close(found, plain.vote(list(deltas), base, settings))


@pytest.mark.parametrize("dialect", ["paper", "mergekit"])
def test_sce_of_models_that_hardly_changed_takes_them_alike_in_mergekit(dialect: str) -> None:
    base = np.zeros(3, np.float32)
    models = [np.float32([1e-4, 1e-4, 0]), np.float32([3e-4, 0, 0])]
    found = merged("sce", models, base, select_topk=1.0, dialect=dialect)
    share = 0.5 if dialect == "mergekit" else 2 / 11
    whole = share if dialect == "paper" else 1.0
    np.testing.assert_allclose(found, [share * 1e-4 + (1 - share) * 3e-4, whole * 1e-4, 0], rtol=1e-6)


def test_sce_takes_numbers_that_all_models_share_for_unvaried() -> None:
    base = np.zeros(1000, np.float32)
    shared = np.random.default_rng(5).normal(0, 1, 1000).astype(np.float32)
    models = [shared + np.float32(step) * np.maximum(0, 4 - np.arange(1000, dtype=np.float32)) for step in (0, 1, 3)]
    found = merged("sce", models, base, select_topk=0.5, dialect="mergekit")
    assert np.count_nonzero(found) == 2  # half of the four that vary
