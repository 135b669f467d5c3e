"""One tensor of several models, read a run of numbers at a time: what merge methods work on.

A tensor may be larger than the memory, so a method never sees all of it. It may measure it in passes (`fold`), and
then returns a function that makes a chunk of the result of the same chunk of the models:

    def slerp(inputs: Inputs, *, t: float) -> Combine:
        first, second = coefficients(gram(inputs), t)      # one pass over the tensor
        return lambda chunk: first * chunk.models[0] + second * chunk.models[1]

Chunks are cut at the same places whatever the number of threads, so that sums and random numbers are the same too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
T = TypeVar("T")
N = TypeVar("N", np.float64, np.int64)

CHUNK = 2**18
"""Numbers of each model in memory at once, 1 MiB of fp32: fewer are slower, for the threads meet more often."""


@dataclass(frozen=True)
class Chunk:
    """The same run of numbers of one tensor, in each model.

    Attributes:
        models: s arrays of (n,), fp32.
        base: The base model's numbers, for methods that use task vectors.
        number: Which chunk of the tensor it is, from 0.
        tensor: Name of the tensor, for random numbers.
        names: Names of the models.
    """

    models: tuple[Floats, ...]
    base: Floats | None = None
    number: int = 0
    tensor: str = ""
    names: tuple[str, ...] = ()

    @property
    def origin(self) -> Floats:
        """The base, for methods that cannot do without."""
        if self.base is None:
            raise ValueError("no base")
        return self.base

    @cached_property
    def deltas(self) -> tuple[Floats, ...]:
        """What each model changed of the base: s arrays of (n,)."""
        return tuple(model - self.origin for model in self.models)

    @property
    def vectors(self) -> tuple[Floats, ...]:
        """The task vectors if there is a base, else the models themselves."""
        return self.models if self.base is None else self.deltas

    def uniform(self, model: int, seed: int) -> Floats:
        """Return n random numbers, evenly spread over [0, 1): the same for the same tensor, model and seed."""
        identity = f"{seed}\0{self.names[model]}\0{self.tensor}\0{self.number}".encode()
        state = int.from_bytes(hashlib.blake2b(identity, digest_size=16).digest(), "little")
        count = len(self.models[model])
        raw = np.random.SFC64(state).random_raw(-(-count // 2))  # 64 bits make two numbers
        # The upper 24 bits of each half, as fp32 holds them; a Generator takes twice as long.
        numbers = (raw.view(np.uint32)[:count] >> 8).view(np.int32).astype(np.float32)
        numbers *= np.float32(2**-24)
        return numbers


Combine = Callable[[Chunk], Floats]
"""Makes a chunk of the result."""

Map = Callable[[Callable[[int], T], Iterable[int]], Iterable[T]]
"""The built-in map, or one that uses several threads and keeps the order."""


@dataclass(frozen=True)
class Inputs:
    """One tensor of several models.

    Attributes:
        shape: Its shape.
        count: How many models.
        chunks: How many chunks it is cut into.
        read: Returns a chunk by its number.
        map: How functions are applied to all chunks.
    """

    shape: tuple[int, ...]
    count: int
    chunks: int
    read: Callable[[int], Chunk]
    map: Callable[[Callable[[int], object], Iterable[int]], Iterable[object]] = map

    @property
    def size(self) -> int:
        """How many numbers the tensor has."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def columns(self) -> int:
        """Length of a row: of the last dimension; a vector is one row. Chunks hold whole rows if the method asks."""
        return self.shape[-1] if self.shape else 1

    def each(self, measure: Callable[[Chunk], T]) -> Iterator[T]:
        """Yield what `measure` makes of each chunk, in order: one pass over the tensor, on several threads."""

        def measured(number: int) -> T:
            with np.errstate(all="ignore"):  # a model's infinities and NaN go their way, as IEEE 754 has it
                return measure(self.read(number))

        yield from self.map(measured, range(self.chunks))  # pyright: ignore[reportReturnType]

    def fold(self, measure: Callable[[Chunk], T]) -> list[T]:
        """Return what `measure` makes of each chunk, in order."""
        return list(self.each(measure))

    def total(self, measure: Callable[[Chunk], NDArray[N]]) -> NDArray[N]:
        """Return the sum of what `measure` makes of each chunk, always added in order; it keeps none of the parts."""
        parts = self.each(measure)
        total = next(parts).copy()
        for part in parts:
            np.add(total, part, out=total)
        return total


def numbers_per_chunk(shape: Sequence[int], *, by_rows: bool) -> int:
    """Return how many numbers a chunk of a tensor has; the last one may have fewer.

    Args:
        shape: The tensor's shape.
        by_rows: Whether chunks hold whole rows.
    """
    columns = shape[-1] if shape else 1
    return max(1, CHUNK // columns) * columns if by_rows else CHUNK


def in_memory(
    models: Sequence[Floats],
    base: Floats | None = None,
    *,
    names: Sequence[str] = (),
    tensor: str = "",
    length: int = CHUNK,
) -> Inputs:
    """Return arrays of one shape as inputs, cut into chunks of `length` numbers."""
    flat = [np.ascontiguousarray(model, np.float32).reshape(-1) for model in models]
    flat_base = None if base is None else np.ascontiguousarray(base, np.float32).reshape(-1)
    names = tuple(names) or tuple(f"model{number}" for number in range(len(flat)))

    def read(number: int) -> Chunk:
        run = slice(number * length, (number + 1) * length)
        return Chunk(
            tuple(model[run] for model in flat), None if flat_base is None else flat_base[run], number, tensor, names
        )

    return Inputs(models[0].shape, len(flat), -(-models[0].size // length), read)
