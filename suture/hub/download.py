"""One file of a hub repository, downloaded so that a kill costs little and wrong bytes are never kept.

`huggingface_hub` authorises the requests and waits where the hub is busy; the bytes are received here, because its
own downloads begin again at 0 after a kill, keep wrong bytes of the right size and are not synced to the disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import httpx

from suture.errors import SourceError
from suture.recipe import Part
from suture.store import durable

_BLOCK = 1 << 20
_TIMEOUT = httpx.Timeout(30.0)  # seconds without a byte
_BUSY = (408, 429, 500, 502, 503, 504)
_RETRIES = 2
"""Tries after the first that bring no byte, before the failure is reported as one worth a later try."""


class _Hasher(Protocol):
    """What hashlib's hashes have in common."""

    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


class RemoteFile(Part):
    """A file of a repository at one commit, as the hub lists it."""

    name: str
    """Its name; a file in a folder of the repository is never fetched."""
    size: int
    """Bytes."""
    digest: str
    """sha256 of its content for large files (LFS), the id of its git blob for small ones."""
    is_lfs: bool
    """Which of the two `digest` is."""

    def hasher(self) -> _Hasher:
        """Return the hash that `digest` is made with, ready for the content."""
        if self.is_lfs:
            return hashlib.sha256()
        return hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)  # git's choice, not ours


def download(
    file: RemoteFile, url: str, headers: Mapping[str, str], target: Path, on_bytes: Callable[[int], None]
) -> None:
    """Make `target` the file's content; what an earlier, killed attempt left beside it as .part is gone on from.

    Args:
        file: What to expect.
        url: Where it is.
        headers: Sent along; the client drops the authorisation when it is redirected to another host or port.
        target: A name on which only verified content ever stands.
        on_bytes: Called with how many bytes came to stand in the part file; a negative number when they are dropped.

    Raises:
        SourceError: When the bytes served are not those that the hub lists.
        httpx.TransportError: When the connection fails again and again.
        huggingface_hub.errors.HfHubHTTPError: When the hub answers with an error.
    """
    with _PartFile(target.with_name(f"{target.name}.part"), file, on_bytes) as part:
        resumed = part.size > 0
        _complete(part, url, headers)
        if resumed and not part.is_right:  # what was on this disk may be at fault
            part.restart()
            _complete(part, url, headers)
        if not part.is_right:
            part.restart()
            raise SourceError(
                "The hub serves other bytes than it lists.",
                where=url,
                expected=f"{file.size} bytes with the digest {file.digest}",
                way_out="Try again later, or from another network: a proxy or mirror may change the file.",
            )
    durable.sync_file(part.path)
    part.path.replace(target)


def is_complete(file: RemoteFile, target: Path) -> bool:
    """Return whether a file that an earlier attempt finished is there and is right."""
    if not target.exists() or target.stat().st_size != file.size:
        return False
    hasher = file.hasher()
    with target.open("rb") as content:
        while block := content.read(_BLOCK):
            hasher.update(block)
    return hasher.hexdigest() == file.digest


def read_range(url: str, headers: Mapping[str, str], start: int, end: int) -> bytes:
    """Return the bytes of a remote file from `start` to before `end`, or to the file's end.

    Raises:
        httpx.TransportError: When the connection fails.
        huggingface_hub.errors.HfHubHTTPError: When the hub answers with an error.
    """
    content = bytearray()
    with _answer(url, headers, f"bytes={start}-{end - 1}") as response:
        first = start if _is_range(response) else 0
        for block in response.iter_bytes():
            content += block
            if first + len(content) >= end:  # the range was ignored: the rest is not wanted
                break
    return bytes(content[start - first : end - first])


class _PartFile:
    """A download in progress: what is there of it, and the digest of that."""

    def __init__(self, path: Path, file: RemoteFile, on_bytes: Callable[[int], None]) -> None:
        self.path = path
        self.file = file
        self.size = 0
        self._on_bytes = on_bytes
        self._hasher = file.hasher()
        self._content = path.open("a+b")

    def __enter__(self) -> Self:
        self._content.seek(0)
        while block := self._content.read(_BLOCK):
            self._count(block)
        if self.is_too_long:
            self.restart()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._content.close()

    @property
    def is_right(self) -> bool:
        return self.size == self.file.size and self._hasher.hexdigest() == self.file.digest

    @property
    def is_too_long(self) -> bool:
        return self.size > self.file.size

    def append(self, block: bytes) -> None:
        self._content.write(block)
        self._count(block)

    def restart(self) -> None:
        self._content.truncate(0)
        self._on_bytes(-self.size)
        self.size = 0
        self._hasher = self.file.hasher()

    def _count(self, block: bytes) -> None:
        self.size += len(block)
        self._hasher.update(block)
        self._on_bytes(len(block))


def _complete(part: _PartFile, url: str, headers: Mapping[str, str]) -> None:
    """Receive the rest of a file, asking again as long as each answer brings some of it."""
    fruitless = 0
    while part.size < part.file.size:
        before = part.size
        failure: httpx.TransportError = httpx.RemoteProtocolError("the hub sent fewer bytes than it lists")
        try:
            _receive(part, url, headers)
        except httpx.TransportError as error:
            failure = error
        fruitless = 0 if part.size > before else fruitless + 1
        if fruitless > _RETRIES:
            raise failure
        time.sleep(2**fruitless - 1)  # seconds: none while bytes arrive


def _receive(part: _PartFile, url: str, headers: Mapping[str, str]) -> None:
    with _answer(url, headers, f"bytes={part.size}-") as response:
        if part.size > 0 and not _is_range(response):
            part.restart()
        for (
            block
        ) in response.iter_bytes():  # as they arrive: blocks of a set size are lost when the connection breaks
            part.append(block)
            if part.is_too_long:  # whatever is sent, no more of it is taken
                return


@contextlib.contextmanager
def _answer(url: str, headers: Mapping[str, str], wanted: str) -> Generator[httpx.Response]:
    from huggingface_hub.utils import (
        hf_raise_for_status,
        http_stream_backoff,  # pyright: ignore[reportUnknownVariableType]
    )

    with http_stream_backoff(
        "GET",
        url,
        headers={**headers, "Accept-Encoding": "identity", "Range": wanted},  # a compressed answer has no ranges
        timeout=_TIMEOUT,
        max_retries=_RETRIES,
        retry_on_exceptions=(),  # here, where it is known what has arrived
        retry_on_status_codes=_BUSY,
    ) as response:
        hf_raise_for_status(response)
        yield response


def _is_range(response: httpx.Response) -> bool:
    return response.status_code == 206
