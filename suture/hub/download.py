"""One file of a hub repository, downloaded so that a kill costs little and wrong bytes are never kept.

`huggingface_hub` authorises the requests; the bytes are received here, because its own downloads begin again at 0
after a kill, keep wrong bytes of the right size and are not synced to the disk. Where the hub is busy, it is asked
again after as long as it says.
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
from huggingface_hub.errors import HfHubHTTPError

from suture.errors import SourceError
from suture.hub.bandwidth import bandwidth
from suture.hub.client import BUSY, check_online, wait_asked_for
from suture.recipe import Part
from suture.store import durable

_BLOCK = 1 << 20
_TIMEOUT = httpx.Timeout(30.0)  # seconds without a byte
_RETRIES = 2
"""Tries after the first that bring no byte, before the failure is reported as one worth a later try."""
_LONGEST_WAIT = 600
"""Seconds that a hub may ask to wait: twice the window in which the public one counts requests."""


class _Hasher(Protocol):
    """What hashlib's hashes have in common."""

    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


def _ignore(_: int) -> None:
    pass


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


def part_of(target: Path) -> Path:
    """Return where a file's bytes are gathered until all are there."""
    return target.with_name(f"{target.name}.part")


def download(
    file: RemoteFile,
    url: str,
    headers: Mapping[str, str],
    target: Path,
    on_bytes: Callable[[int], None],
    on_wait: Callable[[int], None] = _ignore,
) -> None:
    """Make `target` the file's content; what an earlier, killed attempt left in its part file is gone on from.

    Args:
        file: What to expect.
        url: Where it is.
        headers: Sent along; the client drops the authorisation when it is redirected to another host or port.
        target: A name on which only verified content ever stands.
        on_bytes: Called with how many bytes came to stand in the part file; a negative number when they are dropped,
            0 every second of a wait. What it raises ends the download.
        on_wait: Called with the seconds that the hub asks to wait.

    Raises:
        SourceError: When the bytes served are not those that the hub lists.
        httpx.TransportError: When the connection fails again and again.
        huggingface_hub.errors.HfHubHTTPError: When the hub answers with an error, or stays busy.
        huggingface_hub.errors.OfflineModeIsEnabled: When the file is not all there, and the network is forbidden.
    """
    with _PartFile(part_of(target), file, on_bytes) as part:
        resumed = part.size > 0
        _complete(part, url, headers, _Patience(on_bytes, on_wait))
        if resumed and not part.is_right:  # what was on this disk may be at fault
            part.restart()
            _complete(part, url, headers, _Patience(on_bytes, on_wait))
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
        httpx.TransportError: When the connection fails again and again.
        huggingface_hub.errors.HfHubHTTPError: When the hub answers with an error, or stays busy.
    """
    patience = _Patience(_ignore, _ignore)
    while True:
        try:
            return _read_once(url, headers, start, end)
        except (httpx.TransportError, HfHubHTTPError) as error:
            patience.wait_after(error, fruitful=False)


def _read_once(url: str, headers: Mapping[str, str], start: int, end: int) -> bytes:
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
        with contextlib.ExitStack() as stack:
            stack.callback(self._content.close)
            self._content.seek(0)
            while block := self._content.read(_BLOCK):
                self._count(block)
            if self.is_too_long:
                self.restart()
            stack.pop_all()
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
        self._content.flush()  # out of this process: a kill loses no byte that came in
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


class _Patience:
    """How often a file is asked for again, and after how long.

    Args:
        on_bytes: Called with 0 every second of a wait.
        on_wait: Called with the seconds that the hub asks to wait.
    """

    def __init__(self, on_bytes: Callable[[int], None], on_wait: Callable[[int], None]) -> None:
        self._on_bytes = on_bytes
        self._on_wait = on_wait
        self._fruitless = 0

    def wait_after(self, failure: httpx.TransportError | HfHubHTTPError, *, fruitful: bool) -> None:
        """Wait before the next try, or raise the failure: if tries bring no byte, or it would be the same again."""
        told = None
        if isinstance(failure, HfHubHTTPError):
            if failure.response.status_code not in BUSY:
                raise failure
            told = wait_asked_for(failure.response)
        self._fruitless = 0 if fruitful else self._fruitless + 1
        if self._fruitless > _RETRIES or (told or 0) > _LONGEST_WAIT:
            raise failure
        if told is not None:
            self._on_wait(told + 1)
        for _ in range(2**self._fruitless - 1 if told is None else told + 1):  # none while bytes arrive
            self._on_bytes(0)
            time.sleep(1)


def _complete(part: _PartFile, url: str, headers: Mapping[str, str], patience: _Patience) -> None:
    """Receive the rest of a file, asking again as long as each answer brings some of it."""
    while part.size < part.file.size:
        before = part.size
        failure: httpx.TransportError | HfHubHTTPError
        failure = httpx.RemoteProtocolError("the hub sent fewer bytes than it lists")
        try:
            _receive(part, url, headers)
        except (httpx.TransportError, HfHubHTTPError) as error:
            failure = error
        if part.size < part.file.size:
            patience.wait_after(failure, fruitful=part.size > before)


def _receive(part: _PartFile, url: str, headers: Mapping[str, str]) -> None:
    with _answer(url, headers, f"bytes={part.size}-") as response:
        if part.size > 0 and not _is_range(response):
            part.restart()
        # as they arrive: blocks of a set size are lost when the connection breaks
        for block in response.iter_bytes():
            part.append(block)
            if part.is_too_long:  # whatever is sent, no more of it is taken
                return
            bandwidth().take(len(block))


@contextlib.contextmanager
def _answer(url: str, headers: Mapping[str, str], wanted: str) -> Generator[httpx.Response]:
    from huggingface_hub.utils import get_session, hf_raise_for_status

    check_online()
    told = {**headers, "Accept-Encoding": "identity", "Range": wanted}  # a compressed answer has no ranges
    with get_session().stream("GET", url, headers=told, timeout=_TIMEOUT) as response:
        hf_raise_for_status(response)
        yield response


def _is_range(response: httpx.Response) -> bool:
    return response.status_code == 206
