"""A place in a folder that machines share, such as one of NFS."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path

from suture.errors import CorruptArtifactError, HostError, SutureError, TransientError
from suture.progress import human_bytes
from suture.store import durable, locks
from suture.store.artifact import FileEntry
from suture.store.disk import free_bytes
from suture.store.remote.place import Blob, Listed

_CHUNK = 8 * 2**20  # bytes

_PART = ".part"
"""Ends the name of a file that is being written."""

_LOCK = "lock"
"""File that conditional writes lock."""

_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_WITHOUT_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
"""What a disk says that knows no hard links, such as a share of SMB."""


class Folder:
    """A folder. Conditional writes hold a lock (flock), which NFS carries from machine to machine.

    Args:
        root: Exists: a share that is not mounted must not be taken for an empty one.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.address = str(root)

    def read(self, name: str) -> Blob | None:
        """Return a small object."""
        with self._at(name) as path:
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                return None
            return Blob(content, hashlib.sha256(content).hexdigest())

    def create(self, name: str, content: bytes) -> bool:
        """Write a small object, unless there is one."""
        with self._alone(name) as path:
            part = path.with_name(f"{path.name}.{secrets.token_hex(4)}{_PART}")
            durable.write_atomically(part, content)
            try:
                return _give_name(part, path)
            finally:
                part.unlink(missing_ok=True)
                durable.sync_folder(path.parent)

    def replace(self, name: str, content: bytes, version: str) -> bool:
        """Write a small object if it is still of this version."""
        with self._alone(name) as path:
            if not _is(path, version):
                return False
            durable.write_atomically(path, content)
            return True

    def remove(self, name: str, version: str | None = None) -> None:
        """Remove an object, and its folders when nothing else is in them."""
        with self._alone(name) if version else self._at(name) as path:
            if version is None or _is(path, version):
                path.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # what is not empty stays
                    for folder in path.parents[: len(Path(name).parts) - 1]:
                        folder.rmdir()

    def move(self, name: str, other: str) -> None:
        """Give an object another name."""
        with self._at(name) as path, contextlib.suppress(FileNotFoundError):
            target = self._root / other
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)

    def list(self, prefix: str) -> Iterator[Listed]:
        """Yield all objects whose names begin so, and parts that killed processes left."""
        with self._at(prefix) as folder:
            for path in durable.walk_files(folder):
                status = path.stat()
                changed = datetime.fromtimestamp(status.st_mtime, UTC)
                yield Listed(path.relative_to(self._root).as_posix(), status.st_size, changed)

    def give_up_uploads(self, before: datetime, *, dry_run: bool) -> int:
        """Do nothing: `list` has the parts that killed processes left."""
        del before, dry_run
        return 0

    def holds(self, name: str, entry: FileEntry) -> bool:
        """Return whether a file is there with this content: it is read, for a folder keeps no digests."""
        with self._at(name) as path:
            try:
                return path.stat().st_size == entry.size and durable.sha256_file(path) == entry.sha256
            except FileNotFoundError:
                return False

    def send(self, source: Path, name: str, entry: FileEntry) -> Iterator[int]:
        """Write a file under another name, and rename it when it is whole and on the disk."""
        with self._at(name) as path:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"{path.name}.{secrets.token_hex(4)}{_PART}")
            try:
                yield from _copy(source, part, entry)
                part.rename(path)
            finally:
                part.unlink(missing_ok=True)
            durable.sync_folder(path.parent)

    def fetch(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of a file from `start` to before `stop`."""
        with self._at(name) as path, contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            file.seek(start)
            while start < stop and (chunk := file.read(min(_CHUNK, stop - start))):
                start += len(chunk)
                yield chunk

    @contextlib.contextmanager
    def _at(self, name: str) -> Generator[Path]:
        """Yield where an object lies; what goes wrong there becomes an error that says what to do."""
        try:
            if not self._root.is_dir():
                raise HostError(
                    "The remote's folder is not there.",
                    where=self._root,
                    way_out="Mount the share; if this is a new remote, make the folder.",
                )
            yield self._root / name
        except FileNotFoundError as error:
            raise TransientError("A file of the remote went while it was used.", where=error.filename) from error
        except OSError as error:
            raise self._explained(error) from error

    def _explained(self, error: OSError) -> SutureError:
        where = error.filename or self._root
        if error.errno in _FULL:
            return HostError(
                "The disk that holds the remote is full.",
                where=self._root,
                found=f"{human_bytes(free_bytes(self._root))} free",
                way_out="Free some space there (`suture store gc-remote --older-than 90`), or set SUTURE_REMOTE to a "
                "folder on a larger disk. The same command goes on from what was sent.",
            )
        if error.errno in _REFUSED:
            return HostError(
                "The remote's folder cannot be used.",
                where=where,
                found=error.strerror,
                way_out="Give this user the right to read and write there.",
            )
        return TransientError("The remote's folder does not answer.", where=where, found=error.strerror)

    @contextlib.contextmanager
    def _alone(self, name: str) -> Generator[Path]:
        with self._at(name) as path, locks.locked(self._root / _LOCK):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield path


def _give_name(part: Path, path: Path) -> bool:
    """Give a file its name, unless there is one of this name; returns whether it has it.

    NFS may answer for a minute that a file is not there, if it was asked before it was: only a link is sure.
    """
    try:
        os.link(part, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _WITHOUT_LINKS:
            raise
        if path.exists():
            return False
        part.rename(path)
    return True


def _is(path: Path, version: str) -> bool:
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == version


def _copy(source: Path, part: Path, entry: FileEntry) -> Iterator[int]:
    digest = hashlib.sha256()
    with source.open("rb") as reader, part.open("xb") as writer:
        while chunk := reader.read(_CHUNK):
            digest.update(chunk)
            writer.write(chunk)
            yield len(chunk)
    if digest.hexdigest() != entry.sha256:
        raise CorruptArtifactError(
            "A file in the store has other content.", where=source, expected=entry.sha256, found=digest.hexdigest()
        )
    durable.sync_file(part)
    if part.stat().st_size != entry.size:
        raise TransientError(
            "The remote's folder has lost a part of a file.",
            where=part,
            expected=entry.size,
            found=part.stat().st_size,
        )
