"""Carries out the account of a merge: copies bytes, or streams tensors through a method chunk by chunk."""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from suture.checkpoint.floats import from_float32, to_float32
from suture.checkpoint.journal import Journal
from suture.checkpoint.reader import (
    Checkpoint,
    Extent,
    NonFinite,
    count_in,
    pread_exactly,
    read_chunks,
    read_extents,
)
from suture.checkpoint.tensors import DTYPE_BITS
from suture.checkpoint.writer import OutputTensor, write_checkpoint
from suture.merge.account import Input, MergePlan, Output
from suture.merge.stream import CHUNK, Chunk, Floats, Inputs, numbers_per_chunk
from suture.merge.table import METHODS
from suture.merge.workers import Workers
from suture.progress import Progress

Sources = Mapping[str, Checkpoint]


def execute(
    plan: MergePlan,
    sources: Sources,
    folder: Path,
    shard_bytes: int,
    *,
    journal: Journal,
    threads: int,
    progress: Progress,
) -> Counts:
    """Write the weights of a merge; what a killed attempt finished of them is kept.

    Args:
        plan: The account.
        sources: The checkpoints, by name.
        folder: Receives the files.
        shard_bytes: Bytes of tensors per file at most.
        journal: Remembers the files that are finished.
        threads: How many chunks are computed, and files copied, at once; the bytes do not depend on it.
        progress: Is told the bytes written.

    Returns:
        What was counted in the tensors that were computed.
    """
    taken_up = not journal.is_empty
    with Workers(threads) as workers, Files() as files:
        engine = _Engine(sources, files, workers)
        across = engine.measure_across(plan.outputs)
        tensors = [engine.output_tensor(output, across.get(output.method, {})) for output in plan.outputs]
        write_checkpoint(folder, tensors, shard_bytes, progress, journal, threads)
        return _recount(plan, sources, folder) if taken_up else engine.counts


def _recount(plan: MergePlan, sources: Sources, folder: Path) -> Counts:
    """Count by reading once more what was computed and from what: a killed attempt took its counts along."""
    counts = Counts()
    written = {name: extent for file in folder.glob("*.safetensors") for name, extent in read_extents(file).items()}
    for output in plan.outputs:
        if output.is_copy:
            continue
        counts.add_bytes("", written[output.name], output.info.dtype)
        for source, tensor in dict.fromkeys(pair for made_of in output.all_inputs for pair in made_of.tensors):
            held = sources[source]
            counts.add_bytes(source, held.extents[tensor], held.layout.tensors[tensor].dtype)
    return counts


class Counts:
    """NaN and infinities among the numbers that were read and written, by the source they are of.

    Bytes that are copied are not looked at.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, NonFinite] = {}

    def add(self, owner: str, numbers: Floats) -> None:
        """Count some numbers; `owner` is a source, or empty for the result."""
        if math.isfinite(float(numbers.sum())):  # one quick pass; a sum that overflows is looked at as well
            return
        self._add(owner, NonFinite(int(np.isnan(numbers).sum()), int(np.isinf(numbers).sum())))

    def add_bytes(self, owner: str, extent: Extent, dtype: str) -> None:
        """Count the numbers of a whole tensor."""
        for chunk in read_chunks(extent, CHUNK * DTYPE_BITS[dtype] // 8):
            self._add(owner, count_in(chunk, dtype))

    def of(self, owner: str) -> NonFinite:
        """Return what was counted."""
        return self._found.get(owner, NonFinite(0, 0))

    def _add(self, owner: str, found: NonFinite) -> None:
        with self._lock:
            before = self.of(owner)
            self._found[owner] = NonFinite(before.nan + found.nan, before.inf + found.inf)


class Files:
    """Files opened once, for reading from several threads, and closed at the end of a `with` block."""

    def __init__(self) -> None:
        self._descriptors: dict[Path, int] = {}
        self._lock = threading.Lock()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Files:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, extent: Extent) -> bytes:
        """Return an extent's bytes."""
        with self._lock:
            descriptor = self._descriptors.get(extent.file)
            if descriptor is None:
                descriptor = os.open(extent.file, os.O_RDONLY)
                self._stack.callback(os.close, descriptor)
                self._descriptors[extent.file] = descriptor
        return pread_exactly(descriptor, extent)


class _Engine:
    def __init__(self, sources: Sources, files: Files, workers: Workers) -> None:
        self._sources = sources
        self._files = files
        self._workers = workers
        self.counts = Counts()

    def measure_across(self, outputs: Sequence[Output]) -> dict[str, Mapping[str, Any]]:
        """Return what methods that look at the whole model first have found: method -> further parameters."""
        found: dict[str, Mapping[str, Any]] = {}
        for method in dict.fromkeys(output.method for output in outputs):
            across = METHODS[method].across
            mine = [output for output in outputs if output.method == method]
            if across is not None and mine[0].parameters.get("dialect") == "paper":
                found[method] = across([self._inputs(output) for output in mine], **mine[0].parameters)
        return found

    def output_tensor(self, output: Output, across: Mapping[str, Any]) -> OutputTensor:
        """Return a tensor of the result as the writer takes it."""
        info = output.info
        if output.is_copy:
            (only,) = output.inputs
            extent = self._sources[only.source].extents[only.tensor]
            return OutputTensor(output.name, info.dtype, info.shape, extent)
        return OutputTensor(output.name, info.dtype, info.shape, self._computed(output, across))

    def _computed(self, output: Output, across: Mapping[str, Any]) -> Callable[[], Iterator[bytes]]:
        """Return what computes a tensor in chunks: fp32 throughout, rounded once at the end."""

        def compute() -> Iterator[bytes]:
            combine = METHODS[output.method].function(self._inputs(output), **output.parameters, **across)
            inputs = self._inputs(output, count=True)

            def chunk(number: int) -> bytes:
                with np.errstate(all="ignore"):  # a source's infinities and NaN go their way, as IEEE 754 has it
                    numbers = combine(inputs.read(number))
                    self.counts.add("", numbers)
                    return from_float32(numbers, output.info.dtype)

            return self._workers.map(chunk, range(inputs.chunks))

        return compute

    def _inputs(self, output: Output, *, count: bool = False) -> Inputs:
        """Return the streams of a tensor's inputs; with `count`, what is no number is counted as it is read."""
        shape, size = output.info.shape, output.info.parameters
        length = numbers_per_chunk(shape, by_rows=METHODS[output.method].by_rows)
        names = tuple(made_of.source for made_of in output.inputs)
        columns = shape[-1] if shape else 1

        def read(number: int) -> Chunk:
            start, end = number * length, min((number + 1) * length, size)
            models = tuple(self._floats(made_of, start, end, columns) for made_of in output.inputs)
            base = None if output.base is None else self._floats(output.base, start, end, columns)
            if count:
                self._count(output, models, base)
            return Chunk(models, base, number, output.name, names)

        return Inputs(shape, len(names), -(-size // length), read, self._workers.map)

    def _floats(self, made_of: Input, start: int, end: int, columns: int) -> Floats:
        """Return the numbers from `start` to before `end` of an input whose rows have `columns` numbers."""
        if made_of.rows is None:
            return self._read(made_of.source, made_of.tensor, start, end)
        first = start // columns
        parts = [
            np.zeros(run.length * columns, np.float32)
            if run.source is None
            else self._read(run.source, run.tensor, run.first * columns, (run.first + run.length) * columns)
            for run in made_of.rows.runs(first, -(-end // columns))
        ]
        return np.concatenate(parts)[start - first * columns : end - first * columns]

    def _read(self, source: str, tensor: str, start: int, end: int) -> Floats:
        checkpoint = self._sources[source]
        dtype = checkpoint.layout.tensors[tensor].dtype
        extent = checkpoint.extents[tensor]
        width = DTYPE_BITS[dtype] // 8
        return to_float32(
            self._files.read(Extent(extent.file, extent.offset + start * width, (end - start) * width)), dtype
        )

    def _count(self, output: Output, models: Sequence[Floats], base: Floats | None) -> None:
        for made_of, numbers in zip(output.inputs, models, strict=True):
            self.counts.add(made_of.source, numbers)
        if output.base is not None and base is not None:
            self.counts.add(output.base.source, base)
