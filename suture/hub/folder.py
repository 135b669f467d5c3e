"""A model in a folder of this machine: what it holds, the digests of its files, and copying them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from suture.checkpoint.adapter import open_adapter
from suture.checkpoint.layout import Layout, layout_of, require_tokenizer
from suture.checkpoint.shards import read_shards
from suture.errors import SourceError
from suture.hub.files import chosen, is_of_adapter
from suture.hub.gates import check_files, check_limits
from suture.settings import settings
from suture.store import durable

_CHUNK = 64 << 20
_CANNOT_SHARE = (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)


def read_folder(folder: Path) -> Layout:
    """Return what a folder holds, of the files that are fetched.

    Raises:
        SourceError: When it is no checkpoint that can be used, or lacks its tokenizer.
        CheckpointError: When a file is malformed.
    """
    shards = read_shards(folder)
    check_files(folder)
    layout = layout_of(folder, shards)
    check_limits(layout.config, layout.where)
    require_tokenizer(layout, folder)
    return replace(layout, files=chosen(layout.files, shards))


def read_adapter(folder: Path) -> Layout:
    """Return what a folder with an adapter holds, of the files that are fetched.

    Raises:
        SourceError: When it is no adapter that can be used.
        CheckpointError: When a file is malformed.
    """
    layout = open_adapter(folder).layout
    return replace(layout, files=tuple(filter(is_of_adapter, layout.files)))


def digests(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Return the sha256 of each file; one is read again only if its inode, size or times changed since then."""
    memory = settings().cache / "digests" / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()}.json"
    known = _remembered(memory)
    # the stamp is taken first: a file that changes while it is read is read again the next time
    stamps = {name: _stamp(folder / name) for name in names}
    rows: dict[str, Any] = {
        name: known[name] if known.get(name, [None])[0] == stamp else [stamp, durable.sha256_file(folder / name)]
        for name, stamp in stamps.items()
    }
    if rows != known:
        memory.parent.mkdir(parents=True, exist_ok=True)
        durable.write_atomically(memory, json.dumps(rows).encode())
    return {name: digest for name, (_, digest) in rows.items()}


def copy_folder(
    source: Path, files: Mapping[str, str], target: Path, on_progress: Callable[[int, int], None]
) -> None:
    """Copy files and check that the copies are what was pinned.

    Args:
        source: The folder.
        files: Name -> sha256.
        target: Receives the copies.
        on_progress: Called with the bytes copied so far and the bytes in all.

    Raises:
        SourceError: When a file is gone or has other content than when it was pinned.
    """
    missing = [name for name in files if not (source / name).is_file()]
    if missing:
        raise _changed(source / missing[0], "the file as it was when the plan was made", "no such file")
    total = sum((source / name).stat().st_size for name in files)
    done = 0
    for name, digest in files.items():
        for copied in copy_file(source / name, target / name):
            done += copied
            on_progress(done, total)
        found = durable.sha256_file(target / name)
        if found != digest:
            raise _changed(source / name, digest, found)


def copy_file(source: Path, target: Path) -> Iterator[int]:
    """Copy a file in chunks, which share their blocks where the file system can; yields the size of each."""
    with source.open("rb") as reader, target.open("wb") as writer:
        while copied := _copy_some(reader.fileno(), writer.fileno()):
            yield copied


def _copy_some(source: int, target: int) -> int:
    """Copy the next chunk in the kernel, sharing blocks where the file system can; 0 at the end."""
    try:
        return os.copy_file_range(source, target, _CHUNK)
    except OSError as error:
        if error.errno not in _CANNOT_SHARE:
            raise
        return os.sendfile(target, source, None, _CHUNK)


def _changed(file: Path, expected: str, found: str) -> SourceError:
    return SourceError(
        "A source's file changed after the plan was made.",
        where=file,
        expected=expected,
        found=found,
        way_out="Run the same command again once nothing writes to the folder: it plans with the new content.",
    )


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def _remembered(memory: Path) -> dict[str, Any]:
    """Return what was remembered: name -> stamp and sha256."""
    with contextlib.suppress(OSError, ValueError):
        return json.loads(memory.read_bytes())
    return {}
