"""What holds for every method."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import signature
from typing import Any

import numpy as np
import pytest

from suture.merge.methods.gram import BLOCK
from suture.merge.stream import CHUNK, in_memory
from suture.merge.table import METHODS
from suture.recipe.merge import TAKES
from tests.unit.merge.plain import COUNTS, WITH_OR_WITHOUT, WITHOUT_BASE, draw, merged, settings_of

DRAWN_BY_CHUNK = ("dare_linear", "dare_ties", "della", "della_linear")


def cases() -> list[Any]:
    """Every method, in each dialect, with and without a base, by rows and by columns, where it knows of them."""
    return [
        pytest.param(
            method, based, others, id="-".join(map(str, (method, "base" if based else "", *others.values())))
        )
        for method in METHODS
        for based in ((True, False) if method in WITH_OR_WITHOUT else (method not in WITHOUT_BASE,))
        for others in variants(method)
    ]


def variants(method: str) -> Iterator[dict[str, Any]]:
    taken = METHODS[method].settings
    if "flatten" in taken:
        yield from ({"flatten": True}, {"flatten": False, "row_wise": True}, {"flatten": False, "row_wise": False})
    elif "filter_wise" in taken:
        yield from (
            {"filter_wise": wise, "dialect": name} for wise in (False, True) for name in ("paper", "mergekit")
        )
    elif "dialect" in taken:
        yield from ({"dialect": name} for name in ("paper", "mergekit"))
    else:
        yield {}


CASES = cases()


def inputs_for(method: str, *, based: bool, shape: tuple[int, ...] = (48, 1024)) -> tuple[list[Any], Any]:
    base, models = draw(shape)
    return models[: COUNTS.get(method, 3)], base if based else None


def test_the_table_names_the_settings_that_recipes_and_functions_take() -> None:
    for name, method in METHODS.items():
        keywords = [parameter.name for parameter in signature(method.function).parameters.values()][1:]
        assert set(method.settings) == set(keywords) - {"cuts"}
        if name != "passthrough":
            assert {setting.rstrip("_") for setting in method.settings} - {"dialect"} == set(TAKES[name])
    assert set(METHODS) == {"passthrough", *TAKES}


@pytest.mark.parametrize(
    ("method", "based", "others"), [case for case in CASES if case.values[0] not in DRAWN_BY_CHUNK]
)
def test_the_length_of_a_chunk_changes_no_byte(method: str, based: bool, others: dict[str, Any]) -> None:
    models, base = inputs_for(method, based=based)
    settings = settings_of(method, **others)
    whole = merged(method, models, base, length=models[0].size, **settings).tobytes()
    for length in (BLOCK, 3 * BLOCK, 5 * BLOCK):
        assert merged(method, models, base, length=length, **settings).tobytes() == whole


@pytest.mark.parametrize(("method", "based", "others"), CASES)
def test_inputs_are_left_alone_and_chunks_may_be_asked_for_twice(
    method: str, based: bool, others: dict[str, Any]
) -> None:
    models, base = inputs_for(method, based=based, shape=(4, 64))
    before = [array.copy() for array in (*models, *([base] if based else []))]
    inputs = in_memory(models, base)
    combine = METHODS[method].function(inputs, **settings_of(method, **others))
    chunk = inputs.read(0)
    np.testing.assert_array_equal(combine(chunk), combine(chunk))
    for array, copy in zip((*models, *([base] if based else [])), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize(("method", "based", "others"), CASES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_spoils_its_own_place_at_most(
    method: str, based: bool, others: dict[str, Any], value: float
) -> None:
    models, base = inputs_for(method, based=based, shape=(16, 64))
    models[0] = models[0].copy()
    models[0][3, 5] = value
    result = merged(method, models, base, **settings_of(method, **others))
    spoiled = ~np.isfinite(result)
    spoiled[3, 5] = False
    assert not spoiled.any()


@pytest.mark.parametrize(("method", "based", "others"), CASES)
@pytest.mark.parametrize("shape", [(), (1,), (5,), (1, 1), (3, 1), (2, 3, 4)])
def test_any_shape_is_merged(method: str, based: bool, others: dict[str, Any], shape: tuple[int, ...]) -> None:
    models, base = inputs_for(method, based=based, shape=shape)
    result = merged(method, models, base, **settings_of(method, **others))
    assert result.shape == shape
    assert np.isfinite(result).all()


@pytest.mark.parametrize("shape", [(8,), (4, 64)])
@pytest.mark.parametrize("with_base", [True, False])
@pytest.mark.parametrize("method", [name for name in METHODS if name not in ("passthrough", *DRAWN_BY_CHUNK)])
def test_models_that_are_all_the_base_give_the_base(method: str, with_base: bool, shape: tuple[int, ...]) -> None:
    base, _ = draw(shape)
    based = method not in WITHOUT_BASE and (with_base or method not in WITH_OR_WITHOUT)
    result = merged(method, [base] * COUNTS.get(method, 3), base if based else None, **settings_of(method))
    np.testing.assert_allclose(result, base, rtol=3e-7)


@pytest.mark.parametrize("method", ["linear", "slerp", "nuslerp", "multislerp", "karcher", "model_stock"])
def test_equal_models_give_the_model(method: str) -> None:
    base, models = draw((8, 32))
    count = COUNTS.get(method, 3)
    based = method == "model_stock"
    result = merged(method, [models[0]] * count, base if based else None, **settings_of(method))
    np.testing.assert_allclose(result, models[0], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    "method", ["linear", "multislerp", "karcher", "model_stock", "task_arithmetic", "ties", "sce"]
)
def test_the_order_of_the_models_plays_no_part(method: str) -> None:
    base, models = draw((16, 128))
    settings = settings_of(method)
    turned = {name: value[::-1] if isinstance(value, tuple) else value for name, value in settings.items()}
    based = base if method not in WITHOUT_BASE else None
    forward = merged(method, models, based, **settings)
    backward = merged(method, models[::-1], based, **turned)
    np.testing.assert_allclose(forward, backward, rtol=1e-5, atol=1e-6)


def test_chunks_are_as_long_as_they_may_be() -> None:
    assert CHUNK % BLOCK == 0
