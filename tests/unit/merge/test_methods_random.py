"""Methods that drop numbers at random, against plain fp64 arithmetic on the same draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from suture.merge.stream import CHUNK, Chunk, in_memory
from tests.unit.merge import plain
from tests.unit.merge.plain import close, draw, merged, settings_of

SHAPE = (64, 96)
RANDOM = ("dare_linear", "dare_ties", "della", "della_linear")
DIALECTS = ("paper", "mergekit")


def draws(models: list[Any], *, seed: int) -> list[np.ndarray]:
    chunk = in_memory(models).read(0)
    return [chunk.uniform(number, seed).reshape(SHAPE) for number in range(len(models))]


def survive(delta: np.ndarray, uniform: np.ndarray, chances: Any, settings: dict[str, Any]) -> np.ndarray:
    kept = np.where(uniform < np.float32(chances), delta, 0)
    if not settings["rescale"]:
        return kept
    return kept / chances if settings["dialect"] == "paper" else kept * np.abs(delta).sum() / np.abs(kept).sum()


def chances_by_rank(delta: np.ndarray, density: float, epsilon: float) -> np.ndarray:
    spread = np.linspace(density - epsilon, density + epsilon, delta.shape[1])
    ranks = np.argsort(np.argsort(np.abs(delta), axis=1, kind="stable"), axis=1, kind="stable")
    return np.clip(spread, 0, 1)[ranks].astype(np.float32).astype(np.float64)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("method", RANDOM)
def test_what_survives_is_rescaled_and_merged(method: str, dialect: str, rescale: bool) -> None:
    base, models = draw(SHAPE, step=2**-14, spread=5000)  # finely, or votes would end in a draw but for a rounding
    settings = settings_of(method, dialect=dialect, rescale=rescale)
    kept = []
    for number, (delta, uniform) in enumerate(zip(plain.deltas_of(models, base), draws(models, seed=3), strict=True)):
        chances: Any = settings["density"][number]
        if method.startswith("della"):
            chances = chances_by_rank(delta, chances, settings["epsilon"][number])
        kept.append(survive(delta, uniform, chances, settings))
    merge = plain.add_up if method.endswith("linear") else plain.vote
    close(merged(method, models, base, **settings), merge(kept, base, settings))


@pytest.mark.parametrize("method", RANDOM)
def test_draws_depend_on_seed_tensor_and_model_alone(method: str) -> None:
    base, models = draw(SHAPE, 2)
    settings = settings_of(method, weight=(1.0, 0.0), density=(0.5, 0.5), normalize=False, lambda_=1.0)
    settings |= {"epsilon": (0.1, 0.1)} if "epsilon" in settings else {}

    def dropped(names: tuple[str, str] = ("a", "b"), tensor: str = "x", **others: Any) -> Any:
        result = merged(method, models, base, names=names, tensor=tensor, **settings | others)
        return (result == base).tobytes()

    assert dropped() == dropped(names=("a", "c"))
    assert len({dropped(), dropped(names=("c", "b")), dropped(tensor="y"), dropped(seed=4)}) == 4


@pytest.mark.parametrize("method", RANDOM)
def test_nothing_survives_a_density_of_0(method: str) -> None:
    base, models = draw(SHAPE)
    settings = settings_of(method, density=(0.0,) * 3)
    settings |= {"epsilon": (0.0,) * 3} if "epsilon" in settings else {}
    np.testing.assert_array_equal(merged(method, models, base, **settings), base)


def test_draws_are_even_and_independent() -> None:
    numbers = np.zeros(2 * CHUNK - 1, np.float32)
    inputs = in_memory([numbers, numbers], names=("a", "b"), tensor="t")
    streams = [inputs.read(chunk).uniform(model, 0) for chunk in range(2) for model in range(2)]
    assert [len(stream) for stream in streams] == [CHUNK, CHUNK, CHUNK - 1, CHUNK - 1]
    for stream in streams:
        assert stream.dtype == np.float32
        assert stream.min() >= 0
        assert stream.max() < 1
        counts = np.histogram(stream, 16, (0, 1))[0]
        assert np.abs(counts - len(stream) / 16).max() < 5 * np.sqrt(len(stream) / 16)
    several = np.array([stream[: CHUNK - 1] for stream in streams])
    assert np.abs(np.corrcoef(several) - np.eye(4)).max() < 5 / np.sqrt(CHUNK)
    assert abs(np.corrcoef(streams[0][::2], streams[0][1::2])[0, 1]) < 5 / np.sqrt(CHUNK / 2)


def test_draws_are_what_they_were() -> None:
    chunk = Chunk((np.zeros(3, np.float32),), number=1, tensor="model.norm.weight", names=("a",))
    assert (chunk.uniform(0, 7) * 2**24).tolist() == [12677569, 15483853, 14225155]
