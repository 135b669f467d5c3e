"""Admission, with processes of its own: who waits for what, in which order, and what a kill leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from suture.progress import Lines, Silent
from suture.store import Store
from suture.store.admission import Claim, Room, admitted, room_of_this_machine

ROOM = Room(memory=10_000, disk=1_000)

CLAIMANT = """
import sys, time
from pathlib import Path
from suture.progress import Lines
from suture.store import Store
from suture.store.admission import Claim, Room, admitted

store, label, memory, disk = sys.argv[1:]
claim = Claim(label=label, key=label, memory=int(memory), disk=int(disk))
with admitted(Store(Path(store)), claim, Lines(label), lambda _: Room(10_000, 1_000)):
    print("in", flush=True)
    sys.stdin.readline()
"""

Begin = Callable[..., subprocess.Popen[str]]


def claim(label: str, memory: int = 0, disk: int = 0) -> Claim:
    return Claim(label=label, key=label, memory=memory, disk=disk)


@pytest.fixture
def begin(store: Store, tmp_path: Path) -> Generator[Begin]:
    """Starts a process that claims, and gives back when it is told to."""
    started: list[subprocess.Popen[str]] = []

    def start(label: str, memory: int = 0, disk: int = 0) -> subprocess.Popen[str]:
        argv = [sys.executable, "-c", CLAIMANT, str(store.root), label, str(memory), str(disk)]
        pipe = subprocess.PIPE
        with (tmp_path / label).open("w") as log:
            process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=log, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def await_text(path: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while text not in path.read_text():
        assert time.monotonic() < deadline, path.read_text()
        time.sleep(0.05)


def is_in(process: subprocess.Popen[str]) -> bool:
    assert process.stdout
    return process.stdout.readline() == "in\n"


def test_waits_in_order_and_a_killed_claimant_gives_back(begin: Begin, store: Store, tmp_path: Path) -> None:
    first = begin("first", 6_000)
    assert is_in(first)
    small = begin("small", 1_000)
    assert is_in(small)
    large = begin("large", 4_000)
    await_text(tmp_path / "large", "waiting for 4.00 kB of memory: first and 1 more hold 7.00 kB of 10.00 kB\n")
    late = begin("late", 1_000)  # there would be room for it
    await_text(tmp_path / "late", "waiting behind large\n")
    first.kill()
    assert is_in(large)
    assert is_in(late)
    for process in (small, large, late):
        process.communicate("\n", timeout=60)
    assert not [*store.locks.glob("claims-*/*.claim")]


def test_a_killed_one_that_waited_stands_in_nobodys_way(begin: Begin, tmp_path: Path) -> None:
    holder = begin("holder", 9_000)
    assert is_in(holder)
    waiting = begin("waiting", 9_000)
    await_text(tmp_path / "waiting", "waiting for")
    waiting.send_signal(signal.SIGKILL)
    waiting.wait()
    assert is_in(begin("next", 1_000))


def test_counts_what_is_still_to_be_written(begin: Begin, store: Store, tmp_path: Path) -> None:
    assert is_in(begin("writer", disk=800))
    begin("reader", disk=400)
    await_text(
        tmp_path / "reader", "waiting for 400 B of disk: 1.00 kB are free, and writer has still to write 800 B"
    )
    late = begin("late", disk=1)
    await_text(tmp_path / "late", "waiting behind reader\n")
    part = store.partial / "writer" / "scratch" / "part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(300))
    assert is_in(late)


def test_alone_it_may_try_what_it_is_not_expected_to_have_room_for(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    with admitted(store, claim("giant", memory=50_000, disk=2_000), Lines("giant"), lambda _: ROOM):
        pass
    said = capsys.readouterr().err.splitlines()
    assert [line[:52] for line in said] == [
        "giant: expected to need 50.00 kB of memory, and ther",
        "giant: expected to need 2.00 kB of disk, and there a",
    ]


def test_a_run_that_is_to_end_waits_no_longer(begin: Begin, store: Store) -> None:
    class Ending(Silent):
        def update(self, *_: object) -> None:
            raise KeyboardInterrupt

    assert is_in(begin("holder", 9_000))
    with pytest.raises(KeyboardInterrupt), admitted(store, claim("ended", 9_000), Ending(), lambda _: ROOM):
        pass
    assert len([*store.locks.glob("claims-*/*.claim")]) == 1


def test_the_room_of_this_machine(store: Store) -> None:
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    room = room_of_this_machine(store)
    assert 0 < room.memory < whole
    assert room.disk > 0
