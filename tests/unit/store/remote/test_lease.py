"""Of all machines that share a remote one builds a key; the others wait for it, and not for the dead."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from suture import steps
from suture.errors import TransientError
from suture.progress import Silent
from suture.store import Store
from suture.store.remote import Remote, open_remote
from suture.store.remote.collect import Removal, remove_old
from suture.store.remote.lease import Lease, lease_name, leased, read_lease
from tests import s3
from tests.unit.store.builder import BuildSpec, planned
from tests.unit.store.remote.test_mirror import Said, ended, machine, pushed

Stores = Callable[[str], Store]

FOR_EVER = 3600.0


class Holder(Said):
    """One that wants a lease, in a thread; its store tells it from the others."""

    def __init__(
        self,
        remote: Remote,
        store: Path,
        seconds: float,
        is_made: Callable[[], bool] = lambda: False,
        key: str = "k",
    ) -> None:
        super().__init__()
        store.mkdir()
        self.got, self.enough = threading.Event(), threading.Event()
        self._arguments = (remote.place, key, store, self, is_made, seconds)
        self._thread = threading.Thread(target=self._hold)
        self._thread.start()

    def _hold(self) -> None:
        with leased(*self._arguments):
            self.got.set()
            self.enough.wait(60)

    def release(self) -> None:
        self.enough.set()
        self._thread.join()


def test_two_machines_build_a_key_once(address: str, spec: BuildSpec, tmp_path: Path) -> None:
    two = [machine(tmp_path / name, address, spec.tally, "slow=3", "lease=3") for name in ("here", "there")]
    said = [ended(process) for process in two]
    assert spec.tally.read_text() == "built\n"
    assert sorted(text.startswith("built") for text in said) == [False, True], said
    assert {Store(tmp_path / name).load(planned(spec).key).manifest.digest for name in ("here", "there")}


def test_lease_is_kept_while_its_holder_lives_and_then_passed_on(address: str, tmp_path: Path) -> None:
    remote = open_remote(address)
    first = Holder(remote, tmp_path / "a", seconds=4)
    assert first.got.wait(30)
    second = Holder(remote, tmp_path / "b", seconds=4)
    assert not second.got.wait(9), "longer than it lasts unless renewed"
    lease, _ = read_lease(remote.place, "k")
    assert lease is not None
    assert lease.renewed > 3
    first.release()
    assert second.got.wait(30)
    second.release()
    assert f"{lease.holder} is building this; waiting" in second.text
    assert read_lease(remote.place, "k") == (None, None)
    assert first.text == ""


def test_who_waits_is_content_with_the_artifact(address: str, tmp_path: Path) -> None:
    remote, made = open_remote(address), threading.Event()
    first = Holder(remote, tmp_path / "a", seconds=FOR_EVER)
    assert first.got.wait(30)
    second = Holder(remote, tmp_path / "b", seconds=4, is_made=made.is_set)
    assert not second.got.wait(0.5)
    made.set()
    assert second.got.wait(30)
    for holder in (second, first):
        holder.release()


def test_dead_holder_is_waited_for_as_long_as_its_lease_lasts(
    address: str, stores: Stores, spec: BuildSpec, tmp_path: Path
) -> None:
    ended(machine(tmp_path / "here", address, spec.tally, "die=0", "lease=2"), -9)
    lease, _ = read_lease(open_remote(address).place, planned(spec).key)
    assert lease is not None
    there = stores("there")
    there.remote = Remote(open_remote(address).place, lease_seconds=FOR_EVER)
    said, began = Said(), time.monotonic()
    outcome = steps.build(planned(spec), there, said)
    assert not outcome.cached
    assert time.monotonic() - began >= 2, "it cannot know before that nobody renews it"
    assert f"{lease.holder} is building this; waiting" in said.text


@pytest.mark.parametrize("address", ["folder"], indirect=True)
def test_own_dead_process_is_not_waited_for(address: str, stores: Stores, spec: BuildSpec, tmp_path: Path) -> None:
    ended(machine(tmp_path / "here", address, spec.tally, "die=0", f"lease={FOR_EVER}"), -9)
    said = Said()
    assert not steps.build(planned(spec), stores("here"), said).cached
    assert "waiting" not in said.text


def test_lost_lease_is_said_and_not_taken_back(address: str, tmp_path: Path) -> None:
    remote = open_remote(address)
    holder = Holder(remote, tmp_path / "a", seconds=0.8)
    assert holder.got.wait(30)
    name, deadline = lease_name("k"), time.monotonic() + 30
    taken = False
    while not taken and time.monotonic() < deadline:  # between two renewals
        lease, blob = read_lease(remote.place, "k")
        assert lease is not None
        assert blob is not None
        other = lease.model_copy(update={"holder": "another", "nonce": "of another"})
        taken = remote.place.replace(name, other.model_dump_json().encode(), blob.version)
    time.sleep(1)
    holder.release()
    assert "its lease went to another" in holder.text
    lease, _ = read_lease(remote.place, "k")
    assert lease is not None
    assert lease.holder == "another"


@pytest.mark.parametrize("address", ["bucket"], indirect=True)
def test_renewals_outlive_answers_that_are_cut_short(address: str, tmp_path: Path, gate: s3.Gate) -> None:
    remote, cut = open_remote(address), threading.Event()
    holder = Holder(remote, tmp_path / "a", seconds=2)
    assert holder.got.wait(30)

    def short(method: str, name: str) -> bool:
        if method == "GET" and name.endswith("k.json") and not cut.is_set():
            cut.set()
            return True
        return False

    gate.short = short
    assert cut.wait(30)
    before, _ = read_lease(remote.place, "k")
    assert before is not None
    deadline = time.monotonic() + 30
    while (lease := read_lease(remote.place, "k")[0]) is not None and lease.renewed < before.renewed + 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    holder.release()
    assert holder.text == ""

    remote.place.create("cut/k.json", b"{}")
    cut.clear()
    with pytest.raises(TransientError, match="does not answer"):
        remote.place.read("cut/k.json")


def test_of_many_one_takes_over(address: str, tmp_path: Path) -> None:
    """All see the same lease end, and the same one of no machine begin."""
    remote = open_remote(address)
    inside: list[str] = []
    most: list[int] = []
    remote.place.create(lease_name("k"), b"of no use")

    def want(name: str) -> None:
        (tmp_path / name).mkdir()
        with leased(remote.place, "k", tmp_path / name, Silent(), lambda: False, 0.4):
            inside.append(name)
            most.append(len(inside))
            time.sleep(0.05)
            inside.remove(name)

    threads = [threading.Thread(target=want, args=(name,)) for name in "abcde"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == [1] * 5


def test_lease_of_long_ago_is_nobodys(address: str, tmp_path: Path) -> None:
    """By its own clock it ended years ago, and nobody needs to watch it for an hour."""
    remote = open_remote(address)
    old = Lease(holder="h", store="s", nonce="n", seconds=FOR_EVER, expires=datetime(2020, 1, 1, tzinfo=UTC))
    assert remote.place.create(lease_name("k"), old.model_dump_json().encode())
    holder = Holder(remote, tmp_path / "a", seconds=FOR_EVER)
    assert holder.got.wait(30)
    holder.release()
    assert holder.text == ""


def test_what_is_old_goes_but_not_what_is_being_built(
    address: str, stores: Stores, spec: BuildSpec, tmp_path: Path
) -> None:
    here = stores("here")
    remote = open_remote(address)
    key = pushed(here, spec)
    assert remove_old(remote, days=1, dry_run=False) == Removal((), (), 0, 0, ())
    holder = Holder(remote, tmp_path / "a", FOR_EVER, key=key)
    assert holder.got.wait(30)
    assert remove_old(remote, days=0, dry_run=False).in_work == (key,)
    holder.release()
    size = sum(listed.size for listed in remote.place.list("artifacts/"))
    assert remove_old(remote, days=0, dry_run=True) == Removal((key,), (), 0, size, ())
    assert remote.has(key)
    assert remove_old(remote, days=0, dry_run=False) == Removal((key,), (), 0, size, ())
    assert list(remote.place.list("artifacts/")) == []
