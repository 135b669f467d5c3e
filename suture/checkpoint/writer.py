"""Writing a checkpoint's weights: shards as the hub has them, copied in the kernel or computed on the way.

    write_checkpoint(
        folder,
        [
            OutputTensor("model.norm.weight", "BF16", (576,), checkpoint.extents["model.norm.weight"]),
            OutputTensor("lm_head.weight", "BF16", (49152, 576), lambda: (chunk for chunk in chunks)),
        ],
        shard_bytes=5_000_000_000,
        progress=progress,
    )

Tensors are dealt out to the shards in the order given; a computed one is asked for its bytes when its turn has come,
so that no more than a chunk of it need be in memory.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from suture.checkpoint.header import LENGTH_BYTES
from suture.checkpoint.journal import Journal
from suture.checkpoint.reader import Extent, check_length, pread_exactly
from suture.checkpoint.shards import INDEX, SINGLE
from suture.checkpoint.tensors import DTYPE_BITS, TensorInfo
from suture.progress import Progress

_KERNEL_CHUNK = 64 * 2**20  # bytes per call: often enough for a progress bar
_USER_CHUNK = 4 * 2**20  # bytes held in memory where the kernel does not copy
_PAGE = 4096
_ALIGNMENT = 8  # of the data's beginning, as safetensors has it
_NOT_IN_KERNEL = (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.ETXTBSY)
"""What copy_file_range answers between certain file systems and in certain containers."""


@dataclass(frozen=True)
class OutputTensor:
    """A tensor to be written.

    Attributes:
        name: Its name in the new checkpoint.
        dtype: As safetensors writes it.
        shape: Length of each dimension.
        source: Where its bytes lie, to copy them; or a function that gives them in order, in chunks of any size,
            `TensorInfo.nbytes` in all. The function is called once, shortly before they are written.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    source: Extent | Callable[[], Iterable[bytes]]

    @property
    def info(self) -> TensorInfo:
        """Its dtype and shape."""
        return TensorInfo(self.dtype, self.shape)

    @property
    def is_copy(self) -> bool:
        """Whether its bytes lie in a file."""
        return isinstance(self.source, Extent)


def write_checkpoint(
    folder: Path,
    tensors: Sequence[OutputTensor],
    shard_bytes: int,
    progress: Progress,
    journal: Journal | None = None,
    threads: int = 1,
) -> tuple[str, ...]:
    """Write tensors to `model.safetensors`, or to shards with an index if they do not fit into one.

    Args:
        folder: Receives the files.
        tensors: What to write, each name once; shards take them in this order.
        shard_bytes: Bytes of tensors per file at most; a larger tensor gets a file of its own.
        progress: Is told the bytes written so far.
        journal: Remembers finished files; those of an earlier attempt at the same work are kept.
        threads: How many files are copied at once. The kernel lets one thread at a time write to a file, so that
            one file is not copied faster by several.

    Returns:
        The names of the files.
    """
    shards = deal_out({tensor.name: tensor.info for tensor in tensors}, shard_bytes)
    by_name = {tensor.name: tensor for tensor in tensors}
    meter = _Meter(progress, sum(tensor.info.nbytes for tensor in tensors))

    def write(file: str) -> None:
        path, wanted = folder / file, [by_name[name] for name in shards[file]]
        if journal is not None and journal.has(path):
            meter.add(sum(tensor.info.nbytes for tensor in wanted))
            return
        _write_shard(path, wanted, meter)
        if journal is not None:
            journal.add(path)

    copied = [file for file, names in shards.items() if all(by_name[name].is_copy for name in names)]
    with ThreadPoolExecutor(threads) as pool:
        try:
            copying = [pool.submit(write, file) for file in copied]
            for file in shards:
                if file not in copied:
                    write(file)
            for each in copying:
                each.result()
        except BaseException:
            meter.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if len(shards) == 1:
        return tuple(shards)
    (folder / INDEX).write_text(_index(shards, meter.total))
    return (*shards, INDEX)


def deal_out(tensors: Mapping[str, TensorInfo], shard_bytes: int) -> dict[str, list[str]]:
    """Deal tensors out to files in the order given: each file takes the next tensors until one does not fit.

    Returns:
        File name -> the names of its tensors.
    """
    shards: list[list[str]] = [[]]
    room = shard_bytes
    for name, info in tensors.items():
        if info.nbytes > room and shards[-1]:
            shards.append([])
            room = shard_bytes
        shards[-1].append(name)
        room -= info.nbytes
    if len(shards) == 1:
        return {SINGLE: shards[0]}
    return {f"model-{number:05}-of-{len(shards):05}.safetensors": names for number, names in enumerate(shards, 1)}


class _Stopped(Exception):  # noqa: N818 -- no error: another thread has it
    """The work was given up."""


class _Meter:
    """Adds up bytes for a progress bar, from several threads; and is where they learn that the work was given up."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.total = total
        self._progress = progress
        self._lock = threading.Lock()
        self._done = 0
        self._stopped = False

    def add(self, count: int) -> None:
        with self._lock:
            if self._stopped:
                raise _Stopped
            self._done += count
            self._progress.update(self._done, self.total, "bytes")

    def stop(self) -> None:
        self._stopped = True


def _write_shard(path: Path, tensors: Sequence[OutputTensor], meter: _Meter) -> None:
    # Wide dtypes first, as safetensors does it: then every tensor begins at a multiple of its element's size.
    ordered = sorted(tensors, key=lambda tensor: -DTYPE_BITS[tensor.dtype])
    head = _render_header(ordered, _best_start(ordered))
    position = len(head)
    with contextlib.ExitStack() as open_files:
        target = _open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, open_files)
        sources = {
            file: _open(file, os.O_RDONLY, open_files)
            for file in dict.fromkeys(tensor.source.file for tensor in ordered if isinstance(tensor.source, Extent))
        }
        os.ftruncate(
            target, position + sum(tensor.info.nbytes for tensor in ordered)
        )  # what is not written is a hole
        _pwrite_all(target, head, 0)
        for tensor in ordered:
            if isinstance(tensor.source, Extent):
                _copy(tensor.source, sources[tensor.source.file], target, position, meter)
            else:
                _write_chunks(tensor, tensor.source(), target, position, meter)
            position += tensor.info.nbytes


def _open(path: Path, flags: int, open_files: contextlib.ExitStack) -> int:
    descriptor = os.open(path, flags, 0o644)
    open_files.callback(os.close, descriptor)
    return descriptor


def _best_start(tensors: Sequence[OutputTensor]) -> int:
    """Return where in a page the data should begin, so that most copies find their bytes at the same place in a page.

    The kernel then copies whole pages, with a quarter less work. Sources of one shape have headers of one length, and
    most tensors are a multiple of a page long, so that one start often suits all.
    """
    bytes_by_start: Counter[int] = Counter()
    position = 0
    for tensor in tensors:
        if isinstance(tensor.source, Extent):
            bytes_by_start[(tensor.source.offset - position) % _PAGE] += tensor.info.nbytes
        position += tensor.info.nbytes
    best = max(bytes_by_start.items(), key=lambda item: item[1], default=(0, 0))[0]
    return best if best % _ALIGNMENT == 0 else 0


def _render_header(tensors: Sequence[OutputTensor], start: int) -> bytes:
    """Return a header, padded with spaces so that it ends at `start` within a page, or else at a multiple of 8."""
    table: dict[str, object] = {"__metadata__": {"format": "pt"}}
    position = 0
    for tensor in tensors:
        end = position + tensor.info.nbytes
        table[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [position, end]}
        position = end
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    padding = (start - LENGTH_BYTES - len(text)) % (_PAGE if start else _ALIGNMENT)
    return (len(text) + padding).to_bytes(LENGTH_BYTES, "little") + text + b" " * padding


def _index(shards: Mapping[str, Sequence[str]], total: int) -> str:
    weight_map = {name: file for file, names in shards.items() for name in names}
    return json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}, indent=2, sort_keys=True) + "\n"


def _write_chunks(tensor: OutputTensor, chunks: Iterable[bytes], target: int, position: int, meter: _Meter) -> None:
    end = position + tensor.info.nbytes
    for chunk in chunks:
        if position + len(chunk) > end:
            raise ValueError(f"{tensor.name}: more than {tensor.info.nbytes} bytes for {tensor.info}")
        _pwrite_all(target, chunk, position)
        position += len(chunk)
        meter.add(len(chunk))
    if position != end:
        raise ValueError(f"{tensor.name}: {end - position} bytes short of {tensor.info}")


def _copy(extent: Extent, source: int, target: int, position: int, meter: _Meter) -> None:
    """Copy an extent's data; its holes are left as holes, so that a sparse file does not fill the disk."""
    check_length(os.fstat(source).st_size, extent)  # beyond a file's end everything looks like a hole
    reached = extent.offset
    for begin, end in _data_runs(source, extent):
        meter.add(begin - reached)
        for count in _copy_run(extent.file, source, begin, end, target, position + begin - extent.offset):
            meter.add(count)
        reached = end
    meter.add(extent.offset + extent.length - reached)


def _data_runs(source: int, extent: Extent) -> Iterator[tuple[int, int]]:
    """Yield the parts of an extent that are not holes, as (first byte, byte after the last)."""
    position, end = extent.offset, extent.offset + extent.length
    while position < end:
        try:
            begin = os.lseek(source, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a hole up to the file's end
                return
            yield position, end  # the file system does not tell
            return
        if begin >= end:
            return
        position = min(os.lseek(source, begin, os.SEEK_HOLE), end)
        yield begin, position


def _copy_run(file: Path, source: int, begin: int, end: int, target: int, position: int) -> Iterator[int]:
    """Copy bytes from one file to another and yield how many after each call: in the kernel as far as it does it."""
    while begin < end:
        try:
            count = os.copy_file_range(source, target, min(end - begin, _KERNEL_CHUNK), begin, position)
        except OSError as error:
            if error.errno not in _NOT_IN_KERNEL:
                raise
            count = 0
        if count == 0:  # also what some network file systems answer
            count = min(end - begin, _USER_CHUNK)
            _pwrite_all(target, pread_exactly(source, Extent(file, begin, count)), position)
        begin, position = begin + count, position + count
        yield count


def _pwrite_all(target: int, data: bytes, position: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(target, view, position)
        view, position = view[count:], position + count
