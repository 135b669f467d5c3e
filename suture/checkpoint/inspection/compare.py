"""How far apart two checkpoints of one architecture are: tensor by tensor, in chunks, whatever their size.

Of each pair of tensors only sums are kept, and sums add up: over the chunks of a tensor, the tensors of a layer, the
layers of a model. Numbers are read as fp32, which holds bf16 and f16 exactly, and summed as fp64. Chunks are cut at
the same places whatever the number of threads, so that the sums are the same too.

Two checkpoints a and b are compared as they are: ||a - b|| / ||b||, and the angle between them, which for fine-tunes
of one model is always next to nothing. With the model c that both were made of, their task vectors a - c and b - c
(Ilharco et al., arXiv 2212.04089) are compared: how long they are, the angle between them, and how often their signs
are opposed, which is what a merge has to reconcile (Yadav et al., arXiv 2306.01708).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suture.checkpoint.floats import to_float32
from suture.checkpoint.inspection.beside import FieldDifference, FileDifference, compare_configs, compare_files
from suture.checkpoint.inspection.pairing import Shared, Unpaired, pair_up
from suture.checkpoint.reader import Checkpoint, Extent, open_checkpoint, read_chunks
from suture.checkpoint.tensors import DTYPE_BITS
from suture.errors import SourceError
from suture.progress import Progress

_CHUNK = 2**16
"""Numbers of each tensor in memory at once per thread: they stay in a core's cache."""

_SPAN = 64 * _CHUNK
"""Numbers that one thread takes on at a time."""

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Sums:
    """What is kept of two runs of numbers: those of two models a and b, or of their task vectors a - c and b - c.

    Attributes:
        count: How many numbers each has.
        changed: How many are not the same in a and b, and finite.
        opposed: How many have opposite signs.
        nonfinite: How many were left out, because one of the models has NaN or infinity there.
        first: Sum of the first run's squares.
        second: Sum of the second run's squares.
        product: Sum of their products.
        difference: Sum of (a - b)^2.
        reference: Sum of the squares of what distances are relative to: b, or the base c.
    """

    count: int = 0
    changed: int = 0
    opposed: int = 0
    nonfinite: int = 0
    first: float = 0.0
    second: float = 0.0
    product: float = 0.0
    difference: float = 0.0
    reference: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    @property
    def distance(self) -> float:
        """||a - b||, relative; 0 only where nothing differs, infinite where the reference is zero."""
        return _relative(self.difference, self.reference)

    @property
    def first_length(self) -> float:
        """Length of the first run, relative; with a base: how far a is from it."""
        return _relative(self.first, self.reference)

    @property
    def second_length(self) -> float:
        """Length of the second run, relative; with a base: how far b is from it."""
        return _relative(self.second, self.reference)

    @property
    def cosine(self) -> float:
        """Cosine of the angle between the two; NaN where one of them is zero."""
        if not self.first or not self.second:
            return math.nan
        # What is the same is at no angle, whatever the sums were rounded to.
        return self.product / math.sqrt(self.first) / math.sqrt(self.second) if self.difference else 1.0

    @property
    def changed_share(self) -> float:
        """Share of the numbers that are not the same, 0 to 1."""
        return self.changed / self.count if self.count else 0.0

    @property
    def opposed_share(self) -> float:
        """Share of the numbers with opposite signs, 0 to 1."""
        return self.opposed / self.count if self.count else 0.0


@dataclass(frozen=True)
class Difference:
    """A tensor that was compared."""

    tensor: Shared
    sums: Sums


@dataclass(frozen=True)
class Comparison:
    """Two checkpoints, compared.

    Attributes:
        folders: Theirs; and the base's, if there is one.
        differences: Every tensor that all hold, in the order of the layers.
        unpaired: Every tensor that was not compared.
        fields: The fields of the two configs that differ.
        files: The files beside the weights that differ.
    """

    folders: tuple[Path, ...]
    differences: tuple[Difference, ...]
    unpaired: tuple[Unpaired, ...]
    fields: tuple[FieldDifference, ...]
    files: tuple[FileDifference, ...]

    @property
    def has_base(self) -> bool:
        """Whether task vectors were compared."""
        return len(self.folders) > 2

    @property
    def total(self) -> Sums:
        """Of everything that was compared."""
        return add_up(self.differences)

    @property
    def by_layer(self) -> dict[int, list[Difference]]:
        """Layer -> its tensors."""
        table: dict[int, list[Difference]] = {}
        for each in self.differences:
            if each.tensor.layer is not None:
                table.setdefault(each.tensor.layer, []).append(each)
        return table

    @property
    def outside(self) -> list[Difference]:
        """The tensors outside of the layers."""
        return [each for each in self.differences if each.tensor.layer is None]


def add_up(differences: Iterable[Difference]) -> Sums:
    """Return the sums of several tensors as if they were one long tensor."""
    return sum((each.sums for each in differences), Sums())


def compare(first: Path, second: Path, base: Path | None, threads: int, progress: Progress) -> Comparison:
    """Compare two checkpoints.

    Args:
        first: Folder of the one called a.
        second: Folder of the one called b.
        base: Folder of the model that both were made of, to compare what became of it.
        threads: How many threads read and compute.
        progress: Is told the bytes read of all files.

    Raises:
        InputError: When one of them cannot be read, or they have no tensor in common.
    """
    folders = (first, second) if base is None else (first, second, base)
    checkpoints = [open_checkpoint(folder) for folder in folders]
    pairing = pair_up(checkpoints, ("A", "B", "the base")[: len(folders)])
    if not pairing.shared:
        raise SourceError(
            "The checkpoints have no tensor in common.",
            where=second,
            expected=f"tensors like those of {first}: {next(iter(checkpoints[0].layout.tensors), 'none')}, ...",
            found=f"{next(iter(checkpoints[1].layout.tensors), 'none')}, ...",
            way_out="Compare checkpoints of one architecture.",
        )
    return Comparison(
        folders,
        tuple(_measure_all(checkpoints, pairing.shared, threads, progress)),
        pairing.unpaired,
        compare_configs(checkpoints[0], checkpoints[1]),
        compare_files(checkpoints[0], checkpoints[1]),
    )


def _measure_all(
    checkpoints: list[Checkpoint], tensors: tuple[Shared, ...], threads: int, progress: Progress
) -> Iterator[Difference]:
    """Yield every tensor with its sums: several threads, but always added up in one order."""
    spans = [(tensor, begin) for tensor in tensors for begin in range(0, max(1, tensor.count), _SPAN)]
    total = sum(tensor.count * tensor.bits // 8 for tensor in tensors)
    sums = dict.fromkeys((tensor.name for tensor in tensors), Sums())
    done = 0
    executor = ThreadPoolExecutor(threads)
    try:
        measured = executor.map(partial(_measure, checkpoints), *zip(*spans, strict=True))
        for (tensor, begin), part in zip(spans, measured, strict=True):
            sums[tensor.name] += part
            done += min(_SPAN, tensor.count - begin) * tensor.bits // 8
            progress.update(done, total, "bytes")
    finally:
        executor.shutdown(cancel_futures=True)  # after an error or Ctrl-C, without the rest
    return (Difference(tensor, sums[tensor.name]) for tensor in tensors)


def _measure(checkpoints: list[Checkpoint], tensor: Shared, begin: int) -> Sums:
    """Return the sums of a span of a tensor."""
    count = min(_SPAN, tensor.count - begin)
    streams = [
        _read(each.extents[name], info.dtype, begin, count)
        for each, name, info in zip(checkpoints, tensor.names, tensor.infos, strict=True)
    ]
    return sum((sums_of(*chunks) for chunks in zip(*streams, strict=True)), Sums())


def _read(extent: Extent, dtype: str, begin: int, count: int) -> Iterator[Floats]:
    width = DTYPE_BITS[dtype] // 8
    for chunk in read_chunks(Extent(extent.file, extent.offset + begin * width, count * width), _CHUNK * width):
        yield to_float32(chunk, dtype)


def sums_of(a: Floats, b: Floats, c: Floats | None = None) -> Sums:
    """Return the sums of a chunk.

    Args:
        a: Numbers of the first model.
        b: The same numbers of the second model.
        c: The same numbers of the base, to compare the task vectors.
    """
    finite = np.isfinite(a) & np.isfinite(b)
    if c is not None:
        finite &= np.isfinite(c)
    if not finite.all():
        rest = sums_of(a[finite], b[finite], None if c is None else c[finite])
        left_out = int(np.count_nonzero(~finite))
        return rest + Sums(count=left_out, nonfinite=left_out)
    first, second = a.astype(np.float64), b.astype(np.float64)
    difference = first - second
    reference = second
    if c is not None:
        reference = c.astype(np.float64)
        first, second = first - reference, second - reference
    return Sums(
        count=len(a),
        changed=int(np.count_nonzero(difference)),
        opposed=int(np.count_nonzero(first * second < 0)),
        first=_dot(first, first),
        second=_dot(second, second),
        product=_dot(first, second),
        difference=_dot(difference, difference),
        reference=_dot(reference, reference),
    )


def _dot(a: Doubles, b: Doubles) -> float:
    # Not np.dot: BLAS would start threads of its own in each of ours, which takes many times as long on busy cores.
    return float(np.einsum("i,i->", a, b))


def _relative(squares: float, reference: float) -> float:
    if squares == 0:
        return 0.0
    return math.sqrt(squares / reference) if reference else math.inf


def rank(differences: Iterable[Difference], top: int) -> list[Difference]:
    """Return the tensors that are farthest apart, the farthest first."""
    return sorted(differences, key=lambda each: -each.sums.distance)[:top]
