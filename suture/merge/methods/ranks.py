"""Which magnitude has a given rank among all numbers of a tensor, or of many: exact, in O(n) and bounded memory.

fp32 magnitudes are in the same order as their bits taken as integers, so that ranks are searched for among integers
("bits"; NaN comes after infinity). A sample tells between which two the wanted one lies in all likelihood; one pass
counts what is below, and collects what is between them: a few per cent. Of a large tensor these are counted, bin by
bin. Where bins are wider than one integer, or the sample was wrong, another pass looks into the one bin, or outside:
the answer never depends on the sample.

The tie rule: a threshold is a number of the tensor, and numbers that equal it are all kept. So more than the share
asked for may be left: of bf16 models, about 2 % of a task vector's numbers sit exactly on a threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suture.merge.stream import Chunk, Floats, Inputs

Bits = NDArray[np.int32]
Quantities = Callable[[Chunk], Sequence[Floats]]
"""Makes q arrays of a chunk, each ranked by itself: task vectors, or whatever else has magnitudes."""

KEEP_ALL = 0
"""Bits of the least magnitude there is."""

KEEP_NONE = 2**31 - 1
"""Bits that no number in practice has."""

_MAGNITUDE = np.int32(KEEP_NONE)
"""All bits of an fp32 number but its sign."""

_BINS = 2**20
"""Bins at most: 8 MiB of counts for each rank that is searched for."""

_COLLECTED = 2**24
"""Numbers of a tensor up to which those between are collected; of more, they are counted in bins."""

_SAMPLED = 2048
"""Numbers at most that the sample takes of a chunk."""


@dataclass
class _Search:
    """A rank of one quantity, and the bits between which the magnitude of that rank is looked for, both included."""

    quantity: int
    rank: int
    low: int
    high: int
    is_done: bool = False
    """Whether a pass has shown that it is `low`."""

    def narrow(self, below: int, between: _Collected | _Counted) -> None:
        """Look on in the one bin that holds the rank, or outside.

        Args:
            below: How many magnitudes are below those searched.
            between: Those searched.
        """
        if self.rank < below:
            self.low, self.high = KEEP_ALL, self.low - 1
        elif self.rank >= below + between.size:
            self.low, self.high = self.high + 1, KEEP_NONE
        else:
            self.low += between.at(self.rank - below) << between.shift
            self.high = min(self.high, self.low + (1 << between.shift) - 1)
            self.is_done = self.low == self.high


class _Collected:
    """Distances from a search's lower end, one by one."""

    shift = 0

    def __init__(self) -> None:
        self._parts: list[Bits] = []
        self.size = 0

    def add(self, distances: Bits) -> None:
        self._parts.append(distances)
        self.size += len(distances)

    def at(self, rank: int) -> int:
        return int(np.sort(np.concatenate(self._parts))[rank])  # a partition is slow where many are equal


class _Counted:
    """Distances from a search's lower end, counted in bins of 2^shift."""

    def __init__(self, width: int) -> None:
        self.shift = max(0, width.bit_length() - (_BINS.bit_length() - 1))
        self._counts = np.zeros((width >> self.shift) + 1, np.int64)
        self.size = 0

    def add(self, distances: Bits) -> None:
        np.add.at(self._counts, distances >> self.shift, 1)
        self.size += len(distances)

    def at(self, rank: int) -> int:
        return int(np.searchsorted(np.cumsum(self._counts), rank, side="right"))


def magnitudes_at(
    tensors: Sequence[Inputs], quantities: Quantities, ranks: Sequence[Sequence[int]]
) -> list[list[int]]:
    """Return the bits of the magnitudes that have given ranks.

    Args:
        tensors: What to take together, as one long vector.
        quantities: Makes what is ranked.
        ranks: For each of the quantities, the wanted ranks; 0 is the smallest magnitude.

    Returns:
        The magnitudes in the order of `ranks`.
    """
    size = sum(inputs.size for inputs in tensors)
    samples = _sample(tensors, quantities)
    found = [
        [_Search(number, rank, *_bracket([sample[number] for sample in samples], rank / size)) for rank in wanted]
        for number, wanted in enumerate(ranks)
    ]
    searches = [search for row in found for search in row]
    while open_ := [search for search in searches if not search.is_done]:
        _pass_over(tensors, quantities, open_)
    return [[search.low for search in row] for row in found]


def bits_of(values: Floats) -> Bits:
    """Return the magnitudes' bits: (n,)."""
    return values.view(np.int32) & _MAGNITUDE


def mask_from(values: Floats, least: int) -> Bits:
    """Return all ones for magnitudes whose bits are at least `least`, all zeros for the others: (n,)."""
    mask = bits_of(values)
    if least == KEEP_ALL:
        mask.fill(-1)
        return mask
    np.subtract(np.int32(least - 1), mask, out=mask)  # negative for numbers to keep
    mask >>= 31  # which spreads the sign over all bits
    return mask


def keep_from(values: Floats, least: int) -> Floats:
    """Set to 0, in place, all numbers whose magnitude's bits are below `least`."""
    if least > KEEP_ALL:
        bits = values.view(np.int32)
        bits &= mask_from(values, least)
    return values


def keep_up_to(values: Floats, most: int) -> Floats:
    """Set to 0, in place, all numbers whose magnitude's bits are above `most`."""
    if most < KEEP_NONE:
        mask = bits_of(values)
        mask -= np.int32(most + 1)
        mask >>= 31
        bits = values.view(np.int32)
        bits &= mask
    return values


def as_float(bits: int) -> float:
    """Return a magnitude as a number."""
    return float(np.int32(bits).view(np.float32))


def _sample(tensors: Sequence[Inputs], quantities: Quantities) -> list[list[Bits]]:
    """Return the bits of some magnitudes of some chunks, evenly spread: for each chunk, one array per quantity."""
    chunks = [(inputs, number) for inputs in tensors for number in range(inputs.chunks)]
    count = min(len(chunks), max(16, min(512, len(chunks) // 16)))

    def take(place: int) -> list[Bits]:
        inputs, number = chunks[place * (len(chunks) - 1) // max(1, count - 1)]
        with np.errstate(all="ignore"):
            found = quantities(inputs.read(number))
        # An odd step, or it would meet the same columns again and again.
        return [bits_of(values[:: -(-len(values) // _SAMPLED) | 1]) for values in found]

    return [take(place) for place in range(count)]


def _bracket(chunks: Sequence[Bits], share: float) -> tuple[int, int]:
    """Return the bits between which a sample has the magnitude with that share of the others below it.

    Four standard errors on either side. Chunks of one tensor may differ by more than chance: their shares tell.
    """
    whole = np.sort(np.concatenate(chunks))
    guess = whole[min(int(share * len(whole)), len(whole) - 1)]
    below = [np.count_nonzero(chunk < guess) / len(chunk) for chunk in chunks]
    error = max(float(np.std(below)) / math.sqrt(len(chunks)), math.sqrt(share * (1 - share) / len(whole)))
    reach = math.ceil(4 * error * len(whole)) + 1
    start, end = int(share * len(whole)) - reach, int(share * len(whole)) + reach
    return (int(whole[start]) if start >= 0 else KEEP_ALL, int(whole[end]) if end < len(whole) else KEEP_NONE)


def _pass_over(tensors: Sequence[Inputs], quantities: Quantities, searches: Sequence[_Search]) -> None:
    """Narrow searches down by one pass over all numbers."""
    is_small = sum(inputs.size for inputs in tensors) <= _COLLECTED
    below = [0] * len(searches)
    between = [_Collected() if is_small else _Counted(search.high - search.low) for search in searches]

    def look(chunk: Chunk) -> list[tuple[int, Bits]]:
        values = quantities(chunk)
        magnitudes = {search.quantity: bits_of(values[search.quantity]) for search in searches}
        return [_look(magnitudes[search.quantity], search) for search in searches]

    for inputs in tensors:
        for found in inputs.each(look):
            for number, (smaller, distances) in enumerate(found):
                below[number] += smaller
                between[number].add(distances)
    for search, smaller, inside in zip(searches, below, between, strict=True):
        search.narrow(smaller, inside)


def _look(bits: Bits, search: _Search) -> tuple[int, Bits]:
    """Return how many magnitudes are below those searched, and the distances of these from the lower end."""
    distances = bits - np.int32(search.low)
    smaller = int(np.count_nonzero(distances < 0))
    # As unsigned integers, those below come after all others.
    is_inside = distances.view(np.uint32) <= np.uint32(search.high - search.low)
    return smaller, distances.compress(is_inside)
