from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import httpx
import pytest
from huggingface_hub.errors import HfHubHTTPError

from suture.errors import SourceError
from suture.hub.download import RemoteFile, download, is_complete, read_range
from tests.unit.hub.local_hub import LocalHub, git_blob_id

DATA = os.urandom(3_000_000)
LARGE = RemoteFile(name="m.safetensors", size=len(DATA), digest=hashlib.sha256(DATA).hexdigest(), is_lfs=True)


@pytest.fixture
def url(hub: LocalHub) -> str:
    sha = hub.commit("a/b", {"m.safetensors": DATA, "config.json": b"{}"})
    return f"{hub.endpoint}/a/b/resolve/{sha}/m.safetensors"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "m.safetensors"


def fetch(url: str, target: Path, file: RemoteFile = LARGE) -> list[int]:
    counts: list[int] = []
    download(file, url, {}, target, counts.append)
    return counts


def part_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def ranges(hub: LocalHub) -> list[str | None]:
    return [request.range for request in hub.asked("storage")]


def test_what_arrives_is_what_was_listed(url: str, target: Path) -> None:
    counts = fetch(url, target)
    assert target.read_bytes() == DATA
    assert sum(counts) == len(DATA)
    assert not part_of(target).exists()


def test_the_content_is_on_the_disk_before_it_has_its_name(
    url: str, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, bool]] = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: synced.append((os.fstat(descriptor).st_size, target.exists()))
    )
    fetch(url, target)
    assert synced == [(len(DATA), False)]


def test_nothing_compressed_is_asked_for(hub: LocalHub, url: str, target: Path) -> None:
    fetch(url, target)
    read_range(url, {}, 0, 10)
    assert {request.encoding for request in hub.requests} == {"identity"}


def test_a_small_file_is_checked_against_its_git_blob_id(url: str, tmp_path: Path) -> None:
    right = RemoteFile(name="config.json", size=2, digest=git_blob_id(b"{}"), is_lfs=False)
    address = url.replace("m.safetensors", "config.json")
    fetch(address, tmp_path / "config.json", right)
    assert (tmp_path / "config.json").read_bytes() == b"{}"
    wrong = right.model_copy(update={"digest": git_blob_id(b"[]")})
    with pytest.raises(SourceError, match="other bytes than it lists"):
        fetch(address, tmp_path / "other.json", wrong)


def test_only_the_rest_of_a_part_is_asked_for(hub: LocalHub, url: str, target: Path) -> None:
    part_of(target).write_bytes(DATA[:1_234_567])
    counts = fetch(url, target)
    assert ranges(hub) == ["bytes=1234567-"]
    assert target.read_bytes() == DATA
    assert sum(counts) == len(DATA)


def test_a_full_part_is_verified_without_asking(hub: LocalHub, url: str, target: Path) -> None:
    part_of(target).write_bytes(DATA)
    fetch(url, target)
    assert target.read_bytes() == DATA
    assert hub.requests == []


@pytest.mark.parametrize("damaged", [bytes(500), DATA[:-1] + b"?", DATA + b"more"], ids=["start", "full", "longer"])
def test_a_damaged_part_is_given_up(url: str, target: Path, damaged: bytes) -> None:
    part_of(target).write_bytes(damaged)
    counts = fetch(url, target)
    assert target.read_bytes() == DATA
    assert sum(counts) == len(DATA)


def test_a_dropped_connection_is_taken_up_where_it_broke(hub: LocalHub, url: str, target: Path) -> None:
    hub.faults.drop_after = [1_000_000, 500_000]
    fetch(url, target)
    assert target.read_bytes() == DATA
    starts = [int(str(value).removeprefix("bytes=").rstrip("-")) for value in ranges(hub)]
    assert starts == [0, 1_000_000, 1_500_000]


def test_a_connection_that_brings_nothing_is_given_up(
    hub: LocalHub, url: str, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    hub.faults.drop_after = [700, 0, 0, 0]
    with pytest.raises(httpx.TransportError):
        fetch(url, target)
    assert not target.exists()
    assert part_of(target).read_bytes() == DATA[:700]


def test_a_corrupting_server_is_refused(hub: LocalHub, url: str, target: Path) -> None:
    hub.faults.corrupt = True
    with pytest.raises(SourceError, match="other bytes than it lists") as caught:
        fetch(url, target)
    assert LARGE.digest in str(caught.value)
    assert not target.exists()
    assert part_of(target).stat().st_size == 0  # nothing wrong is gone on from


def test_a_server_that_never_ends_is_cut_off(hub: LocalHub, url: str, target: Path) -> None:
    short = LARGE.model_copy(update={"size": 1000, "digest": hashlib.sha256(DATA[:1000]).hexdigest()})
    hub.faults.ignore_range = True
    counts: list[int] = []
    with pytest.raises(SourceError, match="other bytes than it lists"):
        download(short, url, {}, target, counts.append)
    assert sum(count for count in counts if count > 0) < len(DATA) / 2


def test_a_server_that_ignores_ranges_is_read_from_the_start(hub: LocalHub, url: str, target: Path) -> None:
    hub.faults.ignore_range = True
    part_of(target).write_bytes(DATA[:1000])
    counts = fetch(url, target)
    assert target.read_bytes() == DATA
    assert sum(counts) == len(DATA)
    assert len(ranges(hub)) == 1


def test_a_file_shorter_than_listed_is_refused(hub: LocalHub, url: str, target: Path) -> None:
    hub.faults.truncate = 1000
    with pytest.raises(HfHubHTTPError, match="416"):
        fetch(url, target)
    assert not target.exists()


@pytest.mark.parametrize(
    "waits",
    [
        {"Retry_After": "17"},
        {"RateLimit": '"resolvers";r=0;t=17', "RateLimit_Policy": '"fixed window";"resolvers";q=5000;w=300'},
    ],
    ids=["Retry-After", "RateLimit"],
)
def test_a_busy_hub_is_asked_again(
    hub: LocalHub, url: str, target: Path, monkeypatch: pytest.MonkeyPatch, waits: dict[str, str]
) -> None:
    slept: list[float] = []
    told: list[int] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    hub.faults.statuses, hub.waits = [429], waits
    download(LARGE, url, {}, target, lambda _: None, told.append)
    assert target.read_bytes() == DATA
    assert sum(slept) == 18  # as long as it asked for, and one more for what is rounded
    assert told == [18]
    assert len(hub.asked("storage")) == 2


def test_a_hub_that_stays_busy_is_given_up(
    hub: LocalHub, url: str, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    hub.faults.statuses = [500, 503, 429]
    with pytest.raises(HfHubHTTPError, match="429"):
        fetch(url, target)
    hub.faults.statuses, hub.waits = [429], {"Retry_After": "100000"}
    with pytest.raises(HfHubHTTPError, match="429"):
        fetch(url, target)  # a day is not waited for
    assert len(hub.asked("storage")) == 4


def test_a_server_that_stands_still_is_asked_for_the_rest(
    hub: LocalHub, url: str, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suture.hub.download._TIMEOUT", 0.2)  # seconds without a byte
    hub.faults.block, hub.faults.pause = 1 << 20, 1.0
    fetch(url, target)
    assert target.read_bytes() == DATA
    assert [str(value).removeprefix("bytes=").rstrip("-") for value in ranges(hub)] == ["0", "1048576", "2097152"]


def test_what_counts_the_bytes_can_end_the_download(hub: LocalHub, url: str, target: Path) -> None:
    def enough(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(LARGE, url, {}, target, enough)
    hub.faults.statuses, hub.waits = [429], {"Retry_After": "500"}
    with pytest.raises(KeyboardInterrupt):
        download(LARGE, url, {}, target, enough)  # a long wait too


def test_the_token_never_goes_to_the_second_host(hub: LocalHub, url: str, target: Path) -> None:
    hub.faults.drop_after = [1000]
    download(LARGE, url, {"authorization": "Bearer canary"}, target, lambda _: None)
    read_range(url, {"authorization": "Bearer canary"}, 0, 10)
    assert {request.authorization for request in hub.asked("hub")} == {"Bearer canary"}
    assert {request.authorization for request in hub.asked("storage")} == {None}


@pytest.mark.parametrize("ignore", [False, True], ids=["ranges", "no ranges"])
@pytest.mark.parametrize(("start", "end"), [(0, 10), (1000, 200_000), (len(DATA) - 5, len(DATA) + 5)])
def test_read_range_is_a_slice(hub: LocalHub, url: str, start: int, end: int, ignore: bool) -> None:
    hub.faults.ignore_range = ignore
    assert read_range(url, {}, start, end) == DATA[start:end]


def test_is_complete_looks_at_the_content(target: Path) -> None:
    assert not is_complete(LARGE, target)
    target.write_bytes(DATA)
    assert is_complete(LARGE, target)
    target.write_bytes(DATA[:-1] + bytes([DATA[-1] ^ 1]))
    assert not is_complete(LARGE, target)
    target.write_bytes(DATA[:-1])
    assert not is_complete(LARGE, target)
