"""Writes that survive a power cut: data before name, name before acknowledgement."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

READ_ONLY_FILE = 0o444
READ_ONLY_FOLDER = 0o555


def sync_file(path: Path) -> None:
    """Flush a file's data to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Flush a folder's entries (names, renames) to the disk."""
    sync_file(path)


def write_atomically(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a small file so that a reader sees the old content or the new, never a part.

    Args:
        path: The file.
        content: All of it.
        mode: Its permissions, of which the umask takes away.
    """
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(part, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file's content as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield all regular files below a folder, sorted by path."""
    yield from sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def seal(folder: Path) -> None:
    """Make every file and folder below `folder` read-only, and sync them."""
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(root, name)
            path.chmod(READ_ONLY_FILE)
            sync_file(path)
        # the top folder stays writable until it is renamed: renaming a folder writes its ".."
        if Path(root) != folder:
            Path(root).chmod(READ_ONLY_FOLDER)
        sync_folder(Path(root))


def remove_tree(folder: Path) -> None:
    """Remove a folder that may be read-only; what is not there is not an error."""
    if not folder.exists():
        return
    for root, _, _ in os.walk(folder):
        with contextlib.suppress(FileNotFoundError):
            Path(root).chmod(stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=False)
