"""Several files at once: how many, how fast, what is told, what is not fetched at all."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from suture.errors import SourceError, TransientError
from suture.hub import transfer
from suture.hub.bandwidth import Bandwidth, bandwidth
from suture.hub.download import RemoteFile
from suture.hub.fetch import HubFetch, fetch
from suture.hub.pins import pin
from suture.progress import Silent
from suture.recipe import Source
from suture.settings import settings
from suture.store import Workspace
from tests.unit.hub.checkpoint_files import FETCHED, REPO, write_files
from tests.unit.hub.local_hub import LocalHub, git_blob_id, is_lfs

Files = dict[str, bytes]


class Recorder(Silent):
    """Keeps what was told."""

    def __init__(self) -> None:
        self.updates: list[tuple[float, float, str]] = []
        self.lines: list[str] = []

    def update(self, done: float, total: float, unit: str, note: str = "") -> None:
        self.updates.append((done, total, unit))
        self.note = note

    def say(self, message: str) -> None:
        self.lines.append(message)


def files(count: int, size: int = 100) -> list[RemoteFile]:
    return [RemoteFile(name=f"{number}", size=size, digest="0" * 64, is_lfs=True) for number in range(count)]


def test_as_many_at_once_as_asked_for() -> None:
    together, most, lock = 0, 0, threading.Lock()
    three = threading.Barrier(3, timeout=30)  # broken, if fewer than three ever meet

    def receive(file: RemoteFile, on_bytes: Callable[[int], None], _: Callable[[int], None]) -> None:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        three.wait()
        on_bytes(file.size)
        with lock:
            together -= 1

    progress = Recorder()
    transfer.receive_all(files(9), receive, 3, progress)
    assert most == 3
    assert progress.updates[-1] == (900, 900, "bytes")
    assert progress.note == "9 of 9 files"


def test_the_first_failure_ends_the_others() -> None:
    both = threading.Event()
    ended: list[str] = []

    def receive(file: RemoteFile, on_bytes: Callable[[int], None], _: Callable[[int], None]) -> None:
        if file.name == "0":
            both.wait(30)
            raise TransientError("gone")
        both.set()
        try:
            while True:  # without end, but for what on_bytes raises
                on_bytes(1)
                time.sleep(0.001)
        finally:
            ended.append(file.name)

    with pytest.raises(TransientError):
        transfer.receive_all(files(50), receive, 2, Recorder())
    assert "1" in ended
    assert "49" not in ended  # most never began


def test_each_file_that_takes_long_has_its_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "_LINE_SECONDS", 0.05)
    monkeypatch.setattr(transfer, "_TICK", 0.01)
    progress = Recorder()

    def receive(file: RemoteFile, on_bytes: Callable[[int], None], on_wait: Callable[[int], None]) -> None:
        if file.name == "1":
            on_wait(7)
            return
        for _ in range(50):
            on_bytes(2)
            time.sleep(0.01)

    transfer.receive_all(files(2), receive, 2, progress)
    assert "1: the hub asks to wait 7.0 s" in progress.lines
    lines = [line for line in progress.lines if line.startswith("0: ")]
    assert any(" % " in line and line.endswith(" left") for line in lines[:-1])
    assert lines[-1].startswith("0: 100 B fetched and verified in ")


def test_the_limit_holds_for_all_threads_together(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    bucket = Bandwidth(100)
    threads = [threading.Thread(target=bucket.take, args=(50,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == [0.5, 1.0, 1.5, 2.0]  # 200 bytes at 100 a second
    Bandwidth(None).take(10**12)
    assert len(waits) == 4


def test_every_byte_of_a_fetch_is_taken_from_the_limit(
    hub: LocalHub, model: Files, work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = hub.commit(REPO, model)
    pin(Source(name="a", model=REPO))
    taken: list[int] = []
    monkeypatch.setattr(Bandwidth, "take", lambda _, size: taken.append(size))
    fetch(HubFetch(repo=REPO, commit=sha), [], work, Silent())
    assert sum(taken) == sum(len(model[name]) for name in FETCHED)


def test_the_limit_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    monkeypatch.setenv("SUTURE_DOWNLOAD_LIMIT", "2000")
    settings.cache_clear()
    bandwidth().take(1000)
    assert waits == [pytest.approx(0.5)]


# -- the cache of the hub's own tools -----------------------------------------------------------------------------


def write_hf_cache(model: Files) -> Path:
    """What `snapshot_download` leaves; returns where the contents are."""
    from huggingface_hub import constants

    def digest(name: str, data: bytes) -> str:
        return hashlib.sha256(data).hexdigest() if is_lfs(name) else git_blob_id(data)

    folder = Path(constants.HF_HUB_CACHE, "models--somebody--model", "blobs")
    write_files(folder, {digest(name, data): data for name, data in model.items()})
    return folder


def content(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_the_hubs_own_tools_fetched_is_not_fetched_again(
    hub: LocalHub, model: Files, work: Workspace, offline: Callable[[], None]
) -> None:
    hub.commit(REPO, model)
    pin(Source(name="a", model=REPO))
    blobs = write_hf_cache(model)
    hub.requests.clear()
    offline()  # the cache suffices
    fetch(pin(Source(name="a", model=REPO)).spec, [], work, Silent())
    assert content(work.out) == {name: model[name] for name in FETCHED}
    assert hub.requests == []
    assert len(list(blobs.iterdir())) == len(model), "nothing is moved out of it"


def test_a_damaged_file_of_that_cache_is_fetched(
    hub: LocalHub, model: Files, work: Workspace, offline: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    sha, shard = hub.commit(REPO, model), "model-00001-of-00002.safetensors"
    pin(Source(name="a", model=REPO))
    (blob,) = [path for path in write_hf_cache(model).iterdir() if path.read_bytes() == model[shard]]
    blob.write_bytes(bytes([model[shard][0] ^ 1]) + model[shard][1:])
    offline()
    with pytest.raises(SourceError, match="SUTURE_OFFLINE") as caught:
        fetch(HubFetch(repo=REPO, commit=sha), [], work, Silent())
    assert REPO in str(caught.value)
    monkeypatch.delenv("SUTURE_OFFLINE")
    settings.cache_clear()
    hub.requests.clear()
    fetch(HubFetch(repo=REPO, commit=sha), [], work, Silent())
    assert content(work.out) == {name: model[name] for name in FETCHED}
    assert [Path(request.path).name for request in hub.asked("hub")] == [shard]
