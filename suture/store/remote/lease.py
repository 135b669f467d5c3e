"""Leases: of all machines that share a remote, one builds a key and the others wait for what it makes.

A lease is an object that its holder renews; one that did not change for its time belongs to nobody. The time is
measured by whoever waits, on its own clock: clocks of different machines are not compared. Losing a lease costs
nothing but time: the same key means the same content, and what is there is not pushed again.
"""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from suture.errors import SutureError
from suture.progress import Progress
from suture.store.host import machine_id
from suture.store.remote.place import Blob, Place

LEASE_SECONDS = 60.0
"""How long a lease outlives its holder."""

_CLOCKS_DIFFER = timedelta(minutes=15)
"""From then on a lease that ended is known to have, whatever the clocks say."""

_RENEWALS = 4
"""In the time of a lease."""

_LAST_RENEWAL_SECONDS = 10.0
"""For which a renewal that is on its way is waited for; one that comes later renews nothing."""


class Lease(BaseModel):
    """What a lease's object says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    holder: str
    """Host and process, for people."""
    store: str
    """The holder's store: the folder and the machine's present boot."""
    nonce: str
    seconds: float
    """How long it lasts when it is not renewed."""
    renewed: int = 0
    expires: datetime
    """By the holder's clock."""

    def is_long_over(self) -> bool:
        """Return whether it ended by any clock."""
        return datetime.now(UTC) - self.expires > _CLOCKS_DIFFER


def lease_name(key: str) -> str:
    """Return what the lease of a key is called."""
    return f"leases/{key}.json"


def read_lease(place: Place, key: str) -> tuple[Lease | None, Blob | None]:
    """Return the lease of a key as it is now; one that cannot be read is nobody's."""
    blob = place.read(lease_name(key))
    if blob is not None:
        with contextlib.suppress(ValidationError):
            return Lease.model_validate_json(blob.content), blob
    return None, blob


class Held:
    """A lease that this process holds, and renews."""

    def __init__(self, place: Place, key: str, lease: Lease, version: str) -> None:
        self._place = place
        self._key = key
        self._lease = lease
        self._version = version
        self.lost_to = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease-{key[:8]}", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Give it back."""
        self._ended.set()
        self._thread.join(_LAST_RENEWAL_SECONDS)
        if not self.lost_to:
            with contextlib.suppress(SutureError):  # it ends by itself
                self._place.remove(lease_name(self._key), self._version)

    def _keep(self) -> None:
        while not self._ended.wait(self._lease.seconds / _RENEWALS) and not self.lost_to:
            with contextlib.suppress(Exception):  # whatever it was: the next renewal may come in time
                self._renew()

    def _renew(self) -> None:
        lease = _renewed(self._lease)
        self._place.replace(lease_name(self._key), _content(lease), self._version)
        found, blob = read_lease(self._place, self._key)
        # It says whose it is, also where the answer to an earlier renewal was lost.
        if found is not None and blob is not None and found.nonce == lease.nonce:
            self._lease, self._version = found, blob.version
        else:
            self.lost_to = found.holder if found else "nobody"


@contextlib.contextmanager
def leased(
    place: Place, key: str, store: Path, progress: Progress, is_made: Callable[[], bool], seconds: float
) -> Generator[None]:
    """Hold the lease of a key while the block runs; the block also begins, without it, once the artifact is there.

    Args:
        place: Where the remote's objects lie.
        key: Key of the artifact.
        store: The store of this machine, in which this process holds the key's lock.
        progress: Is told who is waited for.
        is_made: Whether the artifact is in the remote.
        seconds: How long the lease lasts when this process is killed.
    """
    held = _take_or_wait(place, _new_lease(store, seconds), key, progress, is_made)
    try:
        yield
    finally:
        if held is not None:
            held.release()
            if held.lost_to:
                progress.say(
                    f"this machine was not heard of for {seconds:g} s, and its lease went to {held.lost_to}, "
                    "who builds the same; nothing is lost, and the first to be pushed is kept"
                )


def _take_or_wait(
    place: Place, wanted: Lease, key: str, progress: Progress, is_made: Callable[[], bool]
) -> Held | None:
    began = seen_at = time.monotonic()
    seen = said = ""
    while True:
        found, blob = read_lease(place, key)
        if blob is not None and blob.version != seen:
            seen, seen_at = blob.version, time.monotonic()
        if _is_free(found, wanted, time.monotonic() - seen_at):
            held = _take(place, key, wanted, blob)
            if held is not None:
                return held
        if is_made():
            return None
        if found is not None and found.holder != said:
            said = found.holder
            progress.say(f"{said} is building this; waiting")
        progress.update(round(time.monotonic() - began), 0, "s", "waiting for another machine")
        time.sleep(min(2.0, wanted.seconds / _RENEWALS))


def _is_free(found: Lease | None, wanted: Lease, unchanged: float) -> bool:
    """Return whether nobody holds a lease any more.

    Args:
        found: The lease; None where there is none, or an unreadable one.
        wanted: The lease to put in its place. Its process holds the key's lock in its store, so that a lease of the
            same store is of a process that was killed.
        unchanged: Seconds for which the lease has been the same.
    """
    return found is None or found.store == wanted.store or unchanged > found.seconds or found.is_long_over()


def _take(place: Place, key: str, wanted: Lease, blob: Blob | None) -> Held | None:
    name, lease = lease_name(key), _renewed(wanted)
    if blob is None:
        place.create(name, _content(lease))
    else:
        place.replace(name, _content(lease), blob.version)
    found, now = read_lease(place, key)  # an answer may have been lost; some servers know no conditions
    if found is None or now is None or found.nonce != wanted.nonce:
        return None
    return Held(place, key, found, now.version)


def _new_lease(store: Path, seconds: float) -> Lease:
    status = store.stat()
    return Lease(
        holder=f"{platform.node()}, process {os.getpid()}",
        store=f"{machine_id()}/{status.st_dev}/{status.st_ino}",
        nonce=secrets.token_hex(8),
        seconds=seconds,
        expires=datetime.now(UTC),
    )


def _renewed(lease: Lease) -> Lease:
    expires = datetime.now(UTC) + timedelta(seconds=lease.seconds)
    return lease.model_copy(update={"renewed": lease.renewed + 1, "expires": expires})


def _content(lease: Lease) -> bytes:
    return lease.model_dump_json(indent=1).encode()
