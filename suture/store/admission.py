"""Admission: a step says what it needs, and waits until this machine has that to spare.

    locks/claims-MACHINE/00000007.claim    what one step holds, or waits for; flocked as long as its process lives
    locks/claims-MACHINE/queue.lock        held for a moment by whoever reads or changes the claims

First come, first served: nobody overtakes a step that waits, so that a large one is not kept waiting by small ones
for ever. Needs are estimates. A step that finds nothing else at work is therefore always let in, with a warning where
it is expected to need more than there is: an estimate must not forbid what works. Whoever holds a claim waits for
nobody any more, so that every wait ends.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from suture.progress import Progress, human_bytes
from suture.store import locks
from suture.store.disk import free_bytes, out_of_room
from suture.store.durable import walk_files
from suture.store.host import machine_id
from suture.store.store import Store

_POLL_SECONDS = 0.5

_RESERVED_SHARE = 0.1
_RESERVED_LEAST = 1_000_000_000
"""Bytes of the memory for the system, the server, and the processes of the flows themselves."""

_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where version 2 and version 1 say what this container may take."""


class Claim(BaseModel):
    """What a step needs while it runs."""

    model_config = ConfigDict(frozen=True)

    label: str
    """What messages call the step."""
    key: str
    """Key of the artifact that it makes."""
    memory: int
    """Bytes that it is expected to take at most, with its tools, and with what they map of their files."""
    disk: int
    """Bytes that it is expected to write."""
    granted: bool = False
    """Whether it is at work; it waits if not."""


@dataclass(frozen=True)
class Room:
    """What this machine has: bytes of memory for all steps together, and bytes of disk that are free now."""

    memory: int
    disk: int


def room_of_this_machine(store: Store) -> Room:
    """Return what steps may take."""
    memory = memory_of_this_machine()
    return Room(memory - max(_RESERVED_LEAST, round(_RESERVED_SHARE * memory)), free_bytes(store.root))


def memory_of_this_machine() -> int:
    """Return the bytes of memory that there are, or that this container may take."""
    return min([os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_cgroup_limits()])


@contextlib.contextmanager
def admitted(
    store: Store, claim: Claim, progress: Progress, room_of: Callable[[Store], Room] = room_of_this_machine
) -> Generator[None]:
    """Hold a claim while the block runs, after waiting until the machine has room for it.

    Args:
        store: Whose steps share this machine.
        claim: What is needed.
        progress: Told what is waited for, and again and again that it still is.
        room_of: Returns what the machine has.

    Raises:
        HostError: When the disk has no room even for the claim.
    """
    queue = _Queue(store, room_of)
    with queue.place(claim) as place:
        began, said = time.monotonic(), ""
        while obstacle := queue.enter(place, claim, progress):
            if obstacle != said:
                progress.say(obstacle)
            said = obstacle
            progress.update(round(time.monotonic() - began), 0, "s", obstacle)  # ends here where the run is to end
            time.sleep(_POLL_SECONDS)
        yield


class _Queue:
    """The claims of this machine's steps, in the order they came."""

    def __init__(self, store: Store, room_of: Callable[[Store], Room]) -> None:
        self._store = store
        self._room_of = room_of
        self._folder = store.locks / f"claims-{machine_id()}"

    @contextlib.contextmanager
    def place(self, claim: Claim) -> Generator[Path]:
        """Hold the last place in the queue while the block runs; yields its file."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as held:
            with self._locked():
                number = 1 + max((int(path.stem) for path in self._folder.glob("*.claim")), default=0)
                path = self._folder / f"{number:08}.claim"
                held.enter_context(locks.try_locked(path))  # nobody else can have it yet
                held.callback(path.unlink, missing_ok=True)
                self._write(path, claim)
            yield path

    def enter(self, place: Path, claim: Claim, progress: Progress) -> str:
        """Grant a claim if there is room; returns what stands in the way, empty when it is granted."""
        with self._locked():
            others = dict(self._others(place))
            holding = [other for other in others.values() if other.granted]
            ahead = [other for path, other in others.items() if not other.granted and path < place]
            obstacle = self._obstacle(claim, holding, ahead)
            if not obstacle:
                self._write(place, claim.model_copy(update={"granted": True}))
        if not obstacle and not holding:
            self._warn(claim, progress)
        return obstacle

    def _write(self, place: Path, claim: Claim) -> None:
        try:
            place.write_text(claim.model_dump_json())
        except OSError as error:
            explained = out_of_room(error, self._store.root)
            if explained is None:
                raise
            raise explained from error

    def _obstacle(self, claim: Claim, holding: Sequence[Claim], ahead: Sequence[Claim]) -> str:
        if ahead:
            return f"waiting behind {_names(ahead)}"
        if not holding:
            return ""
        room, held = self._room_of(self._store), sum(other.memory for other in holding)
        if claim.memory > room.memory - held:
            verb = "hold" if len(holding) > 1 else "holds"
            return (
                f"waiting for {human_bytes(claim.memory)} of memory: {_names(holding)} {verb} {human_bytes(held)} "
                f"of {human_bytes(room.memory)}"
            )
        needed, promised = self._unwritten(claim), sum(map(self._unwritten, holding))
        if needed > room.disk - promised:
            verb = "have" if len(holding) > 1 else "has"
            return (
                f"waiting for {human_bytes(needed)} of disk: {human_bytes(room.disk)} are free, and "
                f"{_names(holding)} {verb} still to write {human_bytes(promised)}"
            )
        return ""

    def _warn(self, claim: Claim, progress: Progress) -> None:
        room = self._room_of(self._store)
        rows = (("memory", claim.memory, room.memory), ("disk", self._unwritten(claim), room.disk))
        for what, needed, there in rows:
            if needed > there:
                progress.say(
                    f"expected to need {human_bytes(needed)} of {what}, and there are {human_bytes(there)}; "
                    "begins all the same, as nothing else is at work"
                )

    def _unwritten(self, claim: Claim) -> int:
        """Return the bytes that a step is still expected to write."""
        written = 0
        with contextlib.suppress(OSError):  # files go while they are counted
            written = sum(path.stat().st_size for path in walk_files(self._store.partial / claim.key))
        return max(0, claim.disk - written)

    def _others(self, place: Path) -> Iterator[tuple[Path, Claim]]:
        """Yield the live claims in order; what a killed process left is removed."""
        for path in sorted(self._folder.glob("*.claim")):
            if path == place:
                continue
            if not locks.is_locked(path):
                path.unlink(missing_ok=True)
                continue
            with contextlib.suppress(ValidationError, FileNotFoundError):  # it has just been given back
                yield path, Claim.model_validate_json(path.read_bytes())

    @contextlib.contextmanager
    def _locked(self) -> Generator[None]:
        with locks.locked(self._folder / "queue.lock"):
            yield


def _names(claims: Sequence[Claim]) -> str:
    """Return the largest claim's name, and how many there are beside it."""
    largest = max(claims, key=lambda claim: claim.memory)
    return f"{largest.label} and {len(claims) - 1} more" if len(claims) > 1 else largest.label


def _cgroup_limits() -> Iterator[int]:
    for path in _CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # not there, or `max`
            yield int(path.read_text())
