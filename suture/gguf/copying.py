"""Copying bytes between files inside the kernel: tens of gigabytes never pass through Python."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

_CHUNK = 256 * 2**20  # bytes per call: often enough for a progress bar
_NOT_BETWEEN_THESE = (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM)


def copy_bytes(source: int, target: int, start: int, on_bytes: Callable[[int, int], None]) -> None:
    """Append everything from `start` on to another file; on btrfs and xfs whole blocks are shared, not copied.

    Args:
        source: Descriptor to read from.
        target: Descriptor to append to.
        start: First byte.
        on_bytes: Called with (bytes done, bytes in all).
    """
    end = os.fstat(source).st_size
    offset = start
    while offset < end:
        count = _copy_some(source, target, offset, min(_CHUNK, end - offset))
        if count == 0:
            raise OSError(errno.EIO, "a file became shorter while it was copied")
        offset += count
        on_bytes(offset - start, end - start)


def _copy_some(source: int, target: int, offset: int, count: int) -> int:
    try:
        return os.copy_file_range(source, target, count, offset_src=offset)
    except OSError as error:
        if error.errno not in _NOT_BETWEEN_THESE:
            raise
        return os.sendfile(target, source, offset, count)
