"""What a remote promises: artifacts cross once, whole or not at all, and what is damaged is never served."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from suture.errors import HostError, TransientError
from suture.progress import Silent
from suture.store import Manifest, Store, durable
from suture.store.artifact import FileEntry
from suture.store.remote import Remote, bucket, open_remote
from suture.store.remote.collect import remove_old
from suture.store.remote.folder import Folder
from tests import s3
from tests.unit.store.builder import BuildSpec, build, planned

CHECKOUT = Path(__file__).parents[4]
MB = 10**6

Stores = Callable[[str], Store]


class Said(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.text = ""

    def say(self, message: str) -> None:
        self.text += f"{message}\n"


def pushed(store: Store, spec: BuildSpec) -> str:
    """Build the test's artifact and push it; returns its key."""
    artifact = build(store.root, spec).artifact
    remote_of(store).push(artifact, store, Silent())
    return artifact.key


def remote_of(store: Store) -> Remote:
    assert store.remote is not None
    return store.remote


def pulled(store: Store, key: str, said: Said | None = None) -> Manifest | None:
    with store.lock(key):
        found = remote_of(store).pull(key, store, said or Said())
    return found.manifest if found else None


def overwrite(remote: Remote, name: str, change: Callable[[bytes], bytes]) -> None:
    blob = remote.place.read(name)
    assert blob is not None
    assert remote.place.replace(name, change(blob.content), blob.version)


def machine(store: Path, address: str, tally: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.unit.store.remote.machine", store, address, tally, *options]
    return subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str], status: int = 0) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == status, err
    return out + err


# -- there and back -----------------------------------------------------------------------------------------------


def test_from_one_store_to_another(stores: Stores, spec: BuildSpec) -> None:
    here, there = stores("here"), stores("there")
    assert pulled(there, planned(spec).key) is None
    key = pushed(here, spec)
    manifest = pulled(there, key)
    assert manifest == here.load(key).manifest
    assert there.verify(key, fully=True).manifest == manifest
    assert (there.artifacts / key).stat().st_mode & 0o777 == 0o555
    assert not (there.partial / key).exists()
    assert remote_of(there).list_keys() == [key]


@pytest.mark.parametrize("address", ["bucket"], indirect=True)
def test_each_file_crosses_once_and_what_is_known_asks_nobody(stores: Stores, spec: BuildSpec, gate: s3.Gate) -> None:
    here, there = stores("here"), stores("there")
    key = pushed(here, spec)
    for _ in range(2):
        remote_of(here).push(here.load(key), here, Silent())
    pulled(there, key)
    asked = len(gate.requests)
    for store in (here, there):
        remote_of(store).keep(store.load(key), store, Silent())
    assert len(gate.requests) == asked
    for entry in here.load(key).manifest.files:
        assert gate.received(f"{key}/{entry.path}") == entry.size
        assert gate.sent(f"{key}/{entry.path}") == entry.size


def test_what_the_remote_lost_is_pushed_again_when_it_counts(stores: Stores, spec: BuildSpec) -> None:
    here = stores("here")
    key, remote = pushed(here, spec), remote_of(here)
    remote.place.remove(f"artifacts/{key}/manifest.json")
    remote.keep(here.load(key), here, Silent())
    assert not remote.has(key), "the store remembers that it is there"
    remote.forget(key, here)
    remote.keep(here.load(key), here, Silent())
    assert remote.has(key)


def test_several_of_one_store_push_once(stores: Stores, spec: BuildSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file is of two parts, so that in a bucket they would join one upload."""
    monkeypatch.setattr(bucket, "_PART", 5 * 2**20)
    here, size = stores("here"), 6 * MB
    artifact = build(here.root, spec.model_copy(update={"files": 1, "size": size})).artifact
    sent: list[str] = []

    class Listening(Silent):
        def say(self, message: str) -> None:
            sent.append(message)

    def push(_: int) -> None:
        remote_of(here).push(artifact, here, Listening())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(push, range(4)))
    assert len(sent) == 1, sent
    assert pulled(stores("there"), artifact.key)


# -- kill -9 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["folder"], indirect=True)
def test_killed_push_goes_on(address: str, stores: Stores, spec: BuildSpec, tmp_path: Path) -> None:
    """Of three files the first is there whole when the process is killed, and is not sent again."""
    size = MB
    key = planned(spec.model_copy(update={"size": size})).key
    ended(machine(tmp_path / "here", address, spec.tally, f"size={size}", f"die={size + 1}"), -9)
    remote = remote_of(stores("here"))
    before = {listed.name: listed.changed for listed in remote.place.list("artifacts/")}
    whole = f"artifacts/{key}/part/0.bin"
    assert whole in before
    assert not remote.has(key), "without its manifest nobody takes it for complete"
    assert "cached" in ended(machine(tmp_path / "here", address, spec.tally, f"size={size}"))
    assert pulled(stores("there"), key) is not None
    after = {listed.name: listed.changed for listed in remote.place.list("artifacts/")}
    assert after[whole] == before[whole], "it was not written again"
    assert spec.tally.read_text() == "built\n"


@pytest.mark.parametrize("address", ["bucket"], indirect=True)
def test_parts_of_a_killed_push_and_pull_cross_once(
    address: str, stores: Stores, spec: BuildSpec, gate: s3.Gate, tmp_path: Path
) -> None:
    """Both are killed in the second of two files of two parts."""
    part, size = 5 * 2**20, 6 * MB  # no server takes smaller parts
    options = ("files=2", f"size={size}", f"part={part}")
    key = planned(spec.model_copy(update={"files": 2, "size": size})).key
    ended(machine(tmp_path / "here", address, spec.tally, *options, f"die={size + 1}"), -9)
    assert gate.received("0.bin") == size
    assert part <= gate.received("1.bin") <= size
    assert "cached" in ended(machine(tmp_path / "here", address, spec.tally, *options))
    assert (gate.received("0.bin"), gate.received("1.bin")) == (size, size)

    ended(machine(tmp_path / "there", address, spec.tally, *options, f"die={size + 1}"), -9)
    assert not stores("there").has(key)
    assert gate.sent("0.bin") == size
    came = (tmp_path / "there" / "partial" / key / "scratch" / "pull" / "part" / "1.bin").stat().st_size
    lost = gate.sent("1.bin") - came
    assert 0 <= lost <= part, "of what was written nothing comes again, only what was on its way"
    assert "cached" in ended(machine(tmp_path / "there", address, spec.tally, *options))
    assert (gate.sent("0.bin"), gate.sent("1.bin")) == (size, size + lost)
    assert stores("there").verify(key, fully=True)
    assert spec.tally.read_text() == "built\n"


@pytest.mark.parametrize("address", ["bucket"], indirect=True)
def test_an_upload_of_other_bytes_is_not_gone_on_with(
    address: str, gate: s3.Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two uploads were killed after their first part; one was of this file."""
    monkeypatch.setattr(bucket, "_PART", part := 5 * 2**20)
    monkeypatch.setattr(bucket, "_AT_ONCE", 1)
    place, size = open_remote(address).place, 6 * MB
    entries: dict[str, FileEntry] = {}
    for name in ("mine", "other"):
        (tmp_path / name).write_bytes(name.encode() + bytes(size - len(name)))
        entries[name] = FileEntry(path="x", size=size, sha256=durable.sha256_file(tmp_path / name))
        assert next(place.send(tmp_path / name, "artifacts/k/x", entries[name])) == part
    assert sum(place.send(tmp_path / "mine", "artifacts/k/x", entries["mine"])) == size
    assert place.holds("artifacts/k/x", entries["mine"])
    assert gate.received("k/x") == part + size, "its first part crossed once"
    found = remove_old(Remote(place), days=0, dry_run=False)
    assert (found.artifacts, found.uploads) == (("k",), 1)
    assert remove_old(Remote(place), days=0, dry_run=True).uploads == 0


def test_what_an_attempt_left_is_not_trusted(stores: Stores, spec: BuildSpec) -> None:
    key = pushed(stores("here"), spec)
    there = stores("there")
    left = there.partial / key / "scratch" / "pull" / "part"
    left.mkdir(parents=True)
    (left / "0.bin").write_bytes(b"of another attempt")
    (left / "1.bin").write_bytes(bytes(5000))
    (left / "9.bin").write_bytes(b"of another manifest")
    assert pulled(there, key)
    assert there.verify(key, fully=True)


# -- damage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["content", "short", "gone"])
def test_damaged_file_is_set_aside_and_pushed_again(stores: Stores, spec: BuildSpec, damage: str) -> None:
    here, there, said = stores("here"), stores("there"), Said()
    key = pushed(here, spec)
    name, remote = f"artifacts/{key}/part/1.bin", remote_of(here)
    if damage == "gone":
        remote.place.remove(name)
    else:
        overwrite(remote, name, lambda old: old[:-1] if damage == "short" else old[:-1] + b"?")
    assert pulled(there, key, said) is None
    assert "missing, or has other content" in said.text
    assert f"{remote.address}/{name}" in said.text
    assert not there.has(key)
    assert not remote.has(key)
    assert damage == "gone" or any(listed.name.endswith("1.bin") for listed in remote.place.list("damaged/"))
    assert remove_old(remote, days=1, dry_run=False).damaged == ()
    (aside,) = remove_old(remote, days=0, dry_run=False).damaged
    assert aside.startswith(key)
    assert list(remote.place.list("damaged/")) == []
    remote.push(here.load(key), here, Silent())
    assert pulled(there, key)


@pytest.mark.parametrize(
    ("pattern", "change", "message"),
    [
        (rb"[0-9a-f]{64}", b"0" * 64, "of another key"),
        (rb"part/1.bin", b"../../1.bin", "cannot be"),
        (rb"part/1.bin", b"/etc/passwd", "cannot be"),
        (rb"part/1.bin", b"part//1.bin", "cannot be"),
        (rb"part/1.bin", b"part/0.bin", "a file twice"),
        (rb"part/1.bin", b"manifest.json", "cannot be"),
        (rb"part/1.bin", b"manifest.json/1.bin", "cannot be"),
        (rb"part/1.bin", b"part/0.bin/1.bin", "cannot be"),
        (rb"part/1.bin", b"x" * 256, "cannot be"),
        (rb"part/1.bin", b"x/" * 600 + b"1.bin", "cannot be"),
        (rb'"host"', b'"hosts"', "cannot be read"),
    ],
)
@pytest.mark.parametrize("address", ["folder"], indirect=True)
def test_hostile_manifest(
    stores: Stores, spec: BuildSpec, tmp_path: Path, pattern: bytes, change: bytes, message: str
) -> None:
    here, there, said = stores("here"), stores("there"), Said()
    key = pushed(here, spec)
    remote = remote_of(here)
    overwrite(remote, f"artifacts/{key}/manifest.json", lambda old: re.sub(pattern, change, old, count=1))
    before = set(tmp_path.iterdir())
    assert pulled(there, key, said) is None
    assert message in said.text
    assert not remote.has(key)
    assert set(tmp_path.iterdir()) - before <= {there.root}
    assert not [path for path in there.root.rglob("*") if path.is_file() and path.suffix != ".lock"]


# -- what cannot be used ------------------------------------------------------------------------------------------


def test_unusable_buckets(gate: s3.Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not open_remote(f"s3://{s3.BUCKET}/x").has("k")
    with pytest.raises(HostError, match="bucket does not exist"):
        open_remote("s3://nobody/x").has("k")

    open_remote.cache_clear()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(HostError, match="refuses these credentials"):
        open_remote(f"s3://{s3.BUCKET}/x").has("k")

    open_remote.cache_clear()
    gate.before = lambda _method, _name: False
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    with pytest.raises(TransientError, match="does not answer") as caught:
        open_remote(f"s3://{s3.BUCKET}/x").has("k")
    assert "AWS_ENDPOINT_URL" in str(caught.value)

    open_remote.cache_clear()
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3")
    with pytest.raises(HostError, match="needs the package s3fs") as caught:
        open_remote(f"s3://{s3.BUCKET}/x")
    assert "pip install 'suture[remote]'" in str(caught.value)


def test_unusable_folders(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="folder is not there"):
        open_remote(str(tmp_path / "not mounted")).has("k")
    with pytest.raises(HostError, match="keeps no remote there"):
        open_remote("gs://bucket/x")


def test_a_name_in_a_folder_is_given_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS may answer for a minute that a file is not there, if it was asked before it was."""
    place = Folder(tmp_path)
    assert place.create("leases/k", b"first")
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert not place.create("leases/k", b"second")
    found = place.read("leases/k")
    assert found is not None
    assert found.content == b"first"
    assert [path.name for path in (tmp_path / "leases").iterdir()] == ["k"]


def test_full_folder(tmp_path: Path, spec: BuildSpec, tmpfs: Callable[[int], Path]) -> None:
    store = Store(tmp_path / "here", open_remote(str(tmpfs(16_384))))
    with pytest.raises(HostError, match="The disk that holds the remote is full"):
        pushed(store, spec.model_copy(update={"size": 40_000}))
    assert not [it for it in remote_of(store).place.list("artifacts/") if "part" not in it.name]


def test_lying_source_is_not_pushed(stores: Stores, spec: BuildSpec) -> None:
    """A file that changed since it was verified never appears in the remote."""
    here = stores("here")
    artifact = build(here.root, spec).artifact
    path = artifact.path / "part" / "1.bin"
    path.chmod(0o644)
    path.write_bytes(bytes(2000))
    with pytest.raises(Exception, match="other content"):
        remote_of(here).push(artifact, here, Silent())
    assert not remote_of(here).has(artifact.key)
    assert not [it for it in remote_of(here).place.list("artifacts/") if it.name.endswith("1.bin")]
