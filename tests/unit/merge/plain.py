"""The merge methods once more: fp64, whole arrays, as the papers' equations read; to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from suture.merge.stream import CHUNK, in_memory
from suture.merge.table import METHODS

Array = np.ndarray[Any, np.dtype[Any]]

SETTINGS: dict[str, Any] = {
    "scale": 0.75,
    "weight": (0.5, 0.75, 0.375),
    "density": (0.5, 0.7, 0.875),
    "epsilon": (0.1, 0.05, 0.08),
    "gamma": (0.02, 0.05, 0.01),
    "normalize": True,
    "lambda_": 0.8,
    "rescale": True,
    "seed": 3,
    "dialect": "paper",
    "t": 0.3,
    "flatten": True,
    "row_wise": False,
    "filter_wise": False,
    "max_iter": 10,
    "tol": 1e-5,
    "select_topk": 0.6,
}
"""What the methods are tried with unless a test says otherwise: up to three models. The weights are exact in fp32, so
that votes that end in a draw do so in fp32 and fp64 alike."""

COUNTS = {"passthrough": 1, "slerp": 2, "nuslerp": 2, "nearswap": 1, "arcee_fusion": 1}
"""How many models a method takes, if not as many as one likes."""

WITHOUT_BASE = ("passthrough", "linear", "slerp", "karcher")
WITH_OR_WITHOUT = ("nuslerp", "multislerp")


def settings_of(method: str, **others: Any) -> dict[str, Any]:
    """The settings that a method takes."""
    count = COUNTS.get(method, 3)
    found = {name: SETTINGS[name] for name in METHODS[method].settings} | others
    return {name: value[:count] if isinstance(value, tuple) else value for name, value in found.items()}


def merged(
    method: str,
    models: Sequence[Array],
    base: Array | None = None,
    *,
    length: int = CHUNK,
    names: Sequence[str] = (),
    tensor: str = "",
    **settings: Any,
) -> Array:
    """What a method makes of arrays, all of its chunks."""
    inputs = in_memory(models, base, length=length, names=names, tensor=tensor)
    with np.errstate(all="ignore"):
        combine = METHODS[method].function(inputs, **settings)
        chunks = [combine(inputs.read(number)) for number in range(inputs.chunks)]
    assert {chunk.dtype for chunk in chunks} == {np.dtype(np.float32)}
    return np.concatenate(chunks).reshape(models[0].shape)


def draw(
    shape: tuple[int, ...], count: int = 3, *, seed: int = 0, step: float = 2**-9, spread: float = 20
) -> tuple[Array, list[Array]]:
    """A base and models some steps away from it, on a grid: differences are exact and, if it is coarse, equal."""
    rng = np.random.default_rng(seed)
    base = np.round(rng.normal(0, 1, shape) / step) * step
    models = [base + np.round(rng.normal(0, spread, shape)) * step for _ in range(count)]
    return base.astype(np.float32), [model.astype(np.float32) for model in models]


def close(found: Array, expected: Array, *, of: Array | None = None) -> None:
    """Assert agreement to a few roundings of fp32 numbers as large as the largest in `of`."""
    largest = np.abs(expected if of is None else of).max()
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=4 * np.finfo(np.float32).eps * largest)


def linear(models: Sequence[Array], weight: Sequence[float], *, normalize: bool = True) -> Array:
    total = sum(w * m.astype(np.float64) for w, m in zip(weight, models, strict=True))
    return total / sum(weight) if normalize else total


def slerp(a: Array, b: Array, t: float, *, beyond: float = 0.9995) -> Array:
    """Of two vectors."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    cosine = float(np.vdot(a, b) / lengths) if lengths else 0.0
    if abs(cosine) > beyond:
        return (1 - t) * a + t * b
    angle = np.arccos(cosine)
    return (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)


def spherical_mean(vectors: Sequence[Array], weight: Sequence[float], steps: int, tol: float = 0.0) -> Array:
    """By explicit logarithmic and exponential maps."""
    flat = [vector.astype(np.float64).reshape(-1) for vector in vectors]
    weights = np.array(weight) / sum(weight)
    lengths = [np.linalg.norm(vector) for vector in flat]
    units = [vector / length for vector, length in zip(flat, lengths, strict=True)]
    mean = sum(w * unit for w, unit in zip(weights, units, strict=True))
    mean /= np.linalg.norm(mean)
    for _ in range(steps):
        tangent = np.zeros_like(mean)
        for w, unit in zip(weights, units, strict=True):
            across = unit - (unit @ mean) * mean
            size = np.linalg.norm(across)
            if size > 1e-12:
                tangent += w * np.arctan2(size, unit @ mean) * across / size
        step = np.linalg.norm(tangent)
        if step > 1e-12:
            mean = np.cos(step) * mean + np.sin(step) * tangent / step
        if step < tol:
            break
    return (float(weights @ lengths) * mean).reshape(vectors[0].shape)


def model_stock(models: Sequence[Array], base: Array, *, least: float, product: float = 0.0) -> Array:
    """Of whole tensors; with the least t, and the least product of lengths to divide by."""
    deltas = [(model - base).astype(np.float64).reshape(-1) for model in models]
    count = len(deltas)
    cosines = [
        deltas[i] @ deltas[j] / max(np.linalg.norm(deltas[i]) * np.linalg.norm(deltas[j]), product)
        for i in range(count)
        for j in range(i)
    ]
    cosine = float(np.mean(cosines))
    t = max(least, count * cosine / (1 + (count - 1) * cosine))
    return t * np.mean([model.astype(np.float64) for model in models], axis=0) + (1 - t) * base


def deltas_of(models: Sequence[Array], base: Array) -> list[Array]:
    return [model.astype(np.float64) - base for model in models]


def keep_largest(values: Array, share: float) -> Array:
    """With all that equal the least of them."""
    if share == 0:
        return np.zeros_like(values)
    count = max(1, int(share * values.size))
    least = np.sort(np.abs(values), axis=None)[values.size - count]
    return np.where(np.abs(values) >= least, values, 0)


def drop_ends(values: Array, density: float, gamma: float) -> Array:
    size = values.size
    dropped = size - int(density * size)
    top = min(int(gamma * size), dropped)
    ordered = np.sort(np.abs(values), axis=None)
    least, most = ordered[dropped - top], ordered[size - 1 - top]
    return np.where((np.abs(values) >= least) & (np.abs(values) <= most), values, 0)


def add_up(deltas: Sequence[Array], base: Array, settings: dict[str, Any]) -> Array:
    total = sum(w * delta for w, delta in zip(settings["weight"], deltas, strict=True))
    divisor = sum(settings["weight"]) if settings["normalize"] else 1.0
    return base + settings["lambda_"] * total / divisor


def vote(deltas: Sequence[Array], base: Array, settings: dict[str, Any]) -> Array:
    terms = np.array([w * delta for w, delta in zip(settings["weight"], deltas, strict=True)])
    votes = terms if settings.get("weigh_votes", True) else np.array(deltas)
    weights = np.array(settings["weight"]).reshape(-1, *[1] * base.ndim)
    elected = np.sign(votes.sum(axis=0))
    if settings["dialect"] == "mergekit":
        elected[elected == 0] = 1
    agree = (np.sign(terms) == elected) & (terms != 0)
    total = (terms * agree).sum(axis=0)
    if settings["normalize"]:
        divisor = (weights * agree).sum(axis=0)
        total = total / np.where(np.abs(divisor) < 1e-8, 1, divisor)
    return base + settings["lambda_"] * total
