"""The store's promises, each with its test, with real processes, real kills and a real full disk."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import random
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suture.errors import CorruptArtifactError, HostError, ProcessError
from suture.process import run
from suture.progress import Silent
from suture.store import Manifest, Store, locks
from suture.store.collect import collect, sweep
from suture.store.fsck import fsck
from suture.store.runs import running
from tests.unit.store import builder
from tests.unit.store.builder import BuildSpec, build, build_and_report, planned

KILLS = 40


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def flip(path: Path, byte: int) -> None:
    """Flip one bit of a read-only file, leaving its size."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(byte)
        (old,) = file.read(1)
        file.seek(byte)
        file.write(bytes([old ^ 1]))


# -- 1, 7, 12: the final path is only ever complete; partials are never trusted -----------------------------------


def test_kill_9_at_any_moment_leaves_all_or_nothing(
    store: Store, spec: BuildSpec, processes: ForkServerContext
) -> None:
    """Kills a build at random moments; after each the artifact is complete or not there, and nothing else is left."""
    key = planned(spec).key
    expected = build(store.root, spec).artifact.manifest.digest
    store.remove(key)
    undisturbed = 0.0  # seconds of a whole process: its start takes longer than what it builds
    for _ in range(2):  # the first starts the server that forks them
        begun = time.monotonic()
        whole = processes.Process(target=build, args=(store.root, spec))
        whole.start()
        whole.join()
        undisturbed = time.monotonic() - begun
        store.remove(key)
    moments = random.Random(20261122)
    killed = survived = 0
    while killed < KILLS:
        child = processes.Process(target=build, args=(store.root, spec))
        child.start()
        time.sleep(moments.uniform(0, 2 * undisturbed))
        child.kill()
        child.join()
        killed += child.exitcode != 0
        assert {path.name for path in store.artifacts.iterdir()} <= {key}
        assert {path.name for path in store.partial.iterdir()} <= {key}
        assert not locks.is_locked(store.locks / f"{key}.lock")
        if store.has(key):
            survived += 1
            assert store.verify(key, fully=True).manifest.digest == expected
            store.remove(key)
    assert survived, "no kill came after the commit: the moments do not cover the build"
    outcome = build(store.root, spec)
    assert not outcome.cached
    assert outcome.artifact.manifest.digest == expected
    sweep(store)
    assert list(store.partial.iterdir()) == []
    assert list(store.quarantine.iterdir()) == []
    assert [path.name for path in store.verified.iterdir()] == [f"{key}.json"]


def test_nothing_of_a_partial_is_taken_over(store: Store, spec: BuildSpec) -> None:
    clean = build(store.root, spec).artifact.manifest.digest
    key = planned(spec).key
    store.remove(key)
    left = store.partial / key / "out" / "part"
    left.mkdir(parents=True)
    (left / "0.bin").write_bytes(b"half")
    (left / "alien.bin").write_bytes(b"alien")
    (left.parent / "manifest.json").write_text("{}")
    assert build(store.root, spec).artifact.manifest.digest == clean


def test_the_manifest_is_written_when_all_else_is_on_the_disk(trace: list[str], store: Store) -> None:
    (key,) = store.list_keys()
    written = [row for row in trace if re.search(rf"openat\(.*partial/{key}/out/.*O_CREAT", row)]
    assert "manifest.json" in written[-1]
    assert len(written) == 4


# -- 2: what is acknowledged is durable ---------------------------------------------------------------------------


@pytest.fixture
def trace(store: Store, tally: Path, tmp_path: Path) -> list[str]:
    """The system calls of one build: opens, syncs, renames and the acknowledgement, in order."""
    log = tmp_path / "strace"
    calls = "openat,fsync,fdatasync,rename,renameat,renameat2,write,chmod,fchmodat"
    build_one = [sys.executable, "-m", "tests.unit.store.builder", str(store.root), str(tally)]
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    result = subprocess.run(
        ["strace", "-f", "-y", "-s", "256", "-e", f"trace={calls}", "-o", str(log), *build_one],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    if "ptrace" in result.stderr and result.returncode != 0:
        pytest.skip("needs the right to trace a process")
    assert result.returncode == 0, result.stderr
    return log.read_text().splitlines()


def test_data_before_name_and_name_before_acknowledgement(trace: list[str], store: Store) -> None:
    (key,) = store.list_keys()
    out, final = store.partial / key / "out", store.artifacts / key

    def line(pattern: str) -> int:
        (found,) = [number for number, row in enumerate(trace) if re.search(pattern, row)]
        return found

    rename = line(rf'rename.*"{out}".*"{final}"')
    for path in [path.relative_to(final) for path in final.rglob("*")]:
        synced = line(rf"fsync\(\d+<{out / path}>\)")
        assert synced < rename, f"{path} is named before it is on the disk"
        touched = [
            number for number, row in enumerate(trace) if f'"{out / path}"' in row and re.search("chmod|O_CREAT", row)
        ]
        assert max(touched) < synced, f"{path} is changed after it was synced"
    assert line(rf"fsync\(\d+<{out}>\)") < rename
    acknowledged = line(rf"write\(1<.*acknowledged {key}")
    assert rename < line(rf"fsync\(\d+<{store.artifacts}>\)") < acknowledged


# -- 3: the digest recorded is the content's ----------------------------------------------------------------------

NAMES = st.text("abcXYZ019-_. é", min_size=1, max_size=8).filter(lambda name: name.strip(". ") == name)
FILES = st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map(tuple), st.binary(max_size=300), max_size=5)


@settings(max_examples=25)
@given(FILES)
def test_the_recorded_digest_is_the_contents(files: dict[tuple[str, ...], bytes]) -> None:
    prefixes = {name[:depth] for name in files for depth in range(1, len(name))}
    tree = {
        "/".join(name): data for name, data in files.items() if name not in prefixes and name != ("manifest.json",)
    }
    with tempfile.TemporaryDirectory() as folder, unlocked(Path(folder)):
        store = Store(Path(folder))
        with store.workspace("k") as work:
            for name, data in tree.items():
                (work.out / name).parent.mkdir(parents=True, exist_ok=True)
                (work.out / name).write_bytes(data)
            artifact = store.commit(work, head("k"))
        recorded = {file.path: (file.size, file.sha256) for file in artifact.manifest.files}
        assert recorded == {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in tree.items()}
        assert store.verify("k", fully=True).manifest == artifact.manifest
        found = files_of(artifact.path)
        del found["manifest.json"]
        assert found == tree


@contextlib.contextmanager
def unlocked(folder: Path) -> Iterator[None]:
    """Let a temporary folder with read-only parts be removed at the end, by anyone."""
    yield
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)


def head(key: str) -> Manifest:
    return Manifest.model_validate(
        {
            "key": key, "step": "test", "version": 1, "spec": {}, "parents": [], "tool": "", "files": [],
            "facts": {}, "host": {}, "created": "2026-11-22T00:00:00Z", "seconds": 0.0,
        }
    )  # fmt: skip


def opened_by(call: Callable[[], object]) -> set[str]:
    """Return the paths that a call opens."""
    opened: set[str] = set()
    watching = True

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event == "open":
            opened.add(str(arguments[0]))

    sys.addaudithook(watch)  # it cannot be taken back, hence `watching`
    call()
    watching = False
    return opened


# -- 4, 6: verified before use; what is damaged is set aside and rebuilt, never served -----------------------------


def truncate(path: Path) -> None:
    path.chmod(0o644)
    os.truncate(path, path.stat().st_size - 1)


def add(path: Path) -> None:
    path.parent.chmod(0o755)
    (path.parent / "alien").touch()


def remove(path: Path) -> None:
    path.parent.chmod(0o755)
    path.unlink()


def replace_by_link(path: Path) -> None:
    path.parent.chmod(0o755)
    path.rename(path.parents[3] / "moved")
    path.symlink_to(path.parents[3] / "moved")


def damage_manifest(path: Path) -> None:
    manifest = path.parents[1] / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_bytes(manifest.read_bytes()[:-20])


def remove_manifest(path: Path) -> None:
    path.parents[1].chmod(0o755)
    (path.parents[1] / "manifest.json").unlink()


@pytest.mark.parametrize(
    "damage",
    [lambda path: flip(path, 1000), truncate, add, remove, replace_by_link, damage_manifest, remove_manifest],
    ids=["flip", "truncate", "add", "remove", "link", "damage-manifest", "remove-manifest"],
)
def test_what_is_damaged_is_set_aside_and_rebuilt(
    store: Store, spec: BuildSpec, damage: Callable[[Path], None]
) -> None:
    first = build(store.root, spec).artifact
    expected = files_of(first.path)
    damage(first.path / "part" / "1.bin")
    assert store.find(first.key) is None
    assert [path.name for path in store.quarantine.iterdir()] == [f"{first.key}.1"]
    again = build(store.root, spec)
    assert not again.cached
    rebuilt = files_of(again.artifact.path)
    del rebuilt["manifest.json"], expected["manifest.json"]
    assert rebuilt == expected
    assert build(store.root, spec).cached


def test_a_flip_that_leaves_all_times_is_found_by_fsck(store: Store, spec: BuildSpec) -> None:
    artifact = build(store.root, spec).artifact
    flip(artifact.path / "part" / "2.bin", 7)
    memory = store.verified / f"{artifact.key}.json"
    # as if the medium had done it: make the memory say that this is how the files were when last hashed
    memory.write_text(memory_of(artifact.path))
    assert store.find(artifact.key) is not None
    (finding,) = fsck(store, Silent())
    assert finding.key == artifact.key
    assert "2.bin" in finding.problem
    assert not store.has(artifact.key)
    assert fsck(store, Silent()) == []


def memory_of(folder: Path) -> str:
    rows = []
    for name in ("part/0.bin", "part/1.bin", "part/2.bin"):
        status = (folder / name).stat()
        rows.append(f'"{name}": [{status.st_ino}, {status.st_size}, {status.st_mtime_ns}, {status.st_ctime_ns}]')
    return "{" + ", ".join(rows) + "}"


@pytest.mark.parametrize("damage", [damage_manifest, remove_manifest])
def test_fsck_finds_a_damaged_manifest(store: Store, spec: BuildSpec, damage: Callable[[Path], None]) -> None:
    artifact = build(store.root, spec).artifact
    damage(artifact.path / "part" / "1.bin")
    assert [finding.key for finding in fsck(store, Silent())] == [artifact.key]
    assert list(store.artifacts.iterdir()) == []


def test_only_files_whose_times_changed_are_hashed_again(store: Store, spec: BuildSpec) -> None:
    artifact = build(store.root, spec).artifact
    changed, unchanged = artifact.path / "part/0.bin", artifact.path / "part/1.bin"
    store.verify(artifact.key)
    opened = opened_by(lambda: store.verify(artifact.key))
    assert opened == {str(artifact.path / "manifest.json"), str(store.verified / f"{artifact.key}.json")}
    changed.touch()
    assert str(changed) in (opened := opened_by(lambda: store.verify(artifact.key)))
    assert str(unchanged) not in opened


def test_another_artifacts_folder_is_not_served(store: Store, spec: BuildSpec) -> None:
    artifact = build(store.root, spec).artifact
    other = "f" * 64
    shutil.copytree(artifact.path, store.artifacts / other)
    with pytest.raises(CorruptArtifactError, match="under another key"):
        store.load(other)
    assert store.find(other) is None


# -- 5: read-only -------------------------------------------------------------------------------------------------


def test_artifacts_are_read_only(store: Store, spec: BuildSpec) -> None:
    artifact = build(store.root, spec).artifact
    for path in [artifact.path, *artifact.path.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o555 if path.is_dir() else 0o444), path


# -- 8: concurrent writers of one key converge --------------------------------------------------------------------


def build_concurrently(processes: ForkServerContext, root: Path, spec: BuildSpec, folder: Path) -> list[str]:
    folder.mkdir()
    reports = [folder / str(number) for number in range(8)]
    children = [processes.Process(target=build_and_report, args=(root, spec, report)) for report in reports]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 8
    return sorted(report.read_text() for report in reports)


def test_8_writers_of_one_key_build_once(
    store: Store, tmp_path: Path, spec: BuildSpec, processes: ForkServerContext
) -> None:
    found = build_concurrently(processes, store.root, spec, tmp_path / "reports")
    digest = build(store.root, spec).artifact.manifest.digest
    assert found == [f"{digest} built"] + [f"{digest} cached"] * 7
    assert spec.tally.read_text() == "built\n"


def test_8_readers_of_a_damaged_artifact_rebuild_it_once(
    store: Store, tmp_path: Path, tally: Path, processes: ForkServerContext
) -> None:
    """While some still read the damaged files, others have rebuilt them: the good ones must stay."""
    spec = BuildSpec(files=20, size=40_000, tally=tally)
    artifact = build(store.root, spec).artifact
    for attempt in range(1, 7):
        flip(store.artifacts / artifact.key / "part" / f"{attempt}.bin", 1000)
        found = build_concurrently(processes, store.root, spec, tmp_path / f"reports{attempt}")
        assert found == [f"{artifact.manifest.digest} built"] + [f"{artifact.manifest.digest} cached"] * 7
        assert len(list(store.quarantine.iterdir())) == attempt


# -- 9: locks die with the process --------------------------------------------------------------------------------


def hold(root: Path, key: str, ready: Path) -> None:
    with Store(root).lock(key):
        ready.touch()
        time.sleep(60)


def hold_a_run(root: Path, ready: Path) -> None:
    with running(Store(root), "a-run"):
        ready.touch()
        time.sleep(60)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_lock_dies_with_kill_9(store: Store, tmp_path: Path, processes: ForkServerContext) -> None:
    holder = processes.Process(target=hold, args=(store.root, "key", tmp_path / "ready"))
    holder.start()
    wait_for(tmp_path / "ready")
    assert locks.is_locked(store.locks / "key.lock")
    holder.kill()
    holder.join()
    assert not locks.is_locked(store.locks / "key.lock")
    with store.lock("key"):
        pass


# -- 10: collection honours roots and leases ----------------------------------------------------------------------


def test_collection_refuses_while_a_run_is_alive(
    store: Store, tmp_path: Path, spec: BuildSpec, processes: ForkServerContext
) -> None:
    key = build(store.root, spec).artifact.key
    run = processes.Process(target=hold_a_run, args=(store.root, tmp_path / "ready"))
    run.start()
    wait_for(tmp_path / "ready")
    with pytest.raises(HostError, match="A run is using the store"):
        collect(store, keep_runs=0, dry_run=False)
    assert store.has(key)
    run.kill()
    run.join()
    assert collect(store, keep_runs=0, dry_run=False).artifacts == (key,)
    assert not store.has(key)


# -- 11: a full disk leaves nothing behind, and the work goes on when there is room --------------------------------


def test_a_full_disk_leaves_nothing_and_resumes(tmpfs: Callable[[int], Path], tally: Path) -> None:
    disk = tmpfs(8_000_000)
    store = Store(disk / "store")
    small = build(store.root, BuildSpec(files=2, size=100_000, tally=tally)).artifact
    filler = disk / "filler"
    filler.write_bytes(bytes(3_000_000))
    spec = BuildSpec(files=60, size=100_000, tally=tally)
    before = shutil.disk_usage(disk).free
    with pytest.raises(HostError, match="full") as caught:
        build(store.root, spec)
    assert caught.value.exit_code == 2
    assert "goes on from there" in str(caught.value)
    assert store.list_keys() == [small.key]
    assert store.find(small.key) is not None
    key = planned(spec).key
    assert [path.name for path in (store.partial / key).iterdir()] == ["scratch"]
    assert before - shutil.disk_usage(disk).free < 20_000, "the failed attempt still holds room"
    filler.unlink()
    outcome = build(store.root, spec)
    assert outcome.artifact.facts["begun"] == 2, "scratch of the failed attempt was there"
    assert store.verify(key, fully=True)
    assert list(store.partial.iterdir()) == []


TIDY = """
import os, sys
try:
    with open(sys.argv[1], "wb") as file:
        file.write(bytes(2_000_000))
except OSError as error:
    os.unlink(sys.argv[1])
    sys.exit(f"write: {error.strerror}")
"""
SPEECHLESS = (
    "import sys; open(sys.argv[1], 'wb', buffering=0).write(bytes(2_000_000)); sys.exit('no room to say why')"
)


@pytest.mark.parametrize("tool", [TIDY, SPEECHLESS], ids=["tidy", "speechless"])
def test_a_tool_that_finds_the_disk_full_is_understood(tmpfs: Callable[[int], Path], tool: str) -> None:
    store = Store(tmpfs(1_000_000) / "store")

    def write() -> None:
        with store.workspace("k") as work:
            argv = [sys.executable, "-c", tool, work.out / "model.gguf"]
            run(argv, log=work.out / "tool.log", doing="writing")

    with pytest.raises(HostError, match="full"):
        write()
    assert list(store.partial.iterdir()) == []


def test_a_tool_that_fails_with_room_left_is_not_taken_for_a_full_disk(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ProcessError), store.workspace("k"):
        run([sys.executable, "-c", "import sys; sys.exit(1)"], log=tmp_path / "log", doing="failing")


def test_another_disk_that_is_full_is_not_taken_for_the_stores(store: Store, tmpfs: Callable[[int], Path]) -> None:
    file = tmpfs(64 * 1024) / "cache"
    with pytest.raises(HostError, match="perhaps not the one that holds the store"), store.workspace("k"):
        file.write_bytes(bytes(10**6))
    with pytest.raises(HostError, match="and not the one that holds the store") as caught, store.workspace("k"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
    assert caught.value.where == str(file)


def test_a_disk_without_any_room(tmpfs: Callable[[int], Path], spec: BuildSpec) -> None:
    """Not even the folders can be made, nor the small files written."""
    disk = tmpfs(64 * 1024)
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))
    with pytest.raises(HostError):
        build(disk / "store", spec)
    left = [path for path in (disk / "store").rglob("*") if path.is_file() and path.stat().st_size]
    assert left == []


# -- 12: scratch survives, what is stale is swept -----------------------------------------------------------------


def test_scratch_survives_a_failure_and_goes_with_the_commit(store: Store) -> None:
    with contextlib.suppress(ZeroDivisionError), store.workspace("k") as work:
        (work.scratch / "checkpoint").write_text("step 250")
        (work.out / "half").touch()
        raise ZeroDivisionError
    assert not work.out.exists()
    with store.workspace("k") as work:
        assert (work.scratch / "checkpoint").read_text() == "step 250"
        assert list(work.out.iterdir()) == []
        (work.out / "whole").touch()
        store.commit(work, head("k"))
    assert list(store.partial.iterdir()) == []
    assert store.has("k")


def test_stale_partials_are_swept_and_fresh_or_held_ones_stay(store: Store) -> None:
    for key in ("stale", "fresh", "empty", "held"):
        (store.partial / key / "scratch").mkdir(parents=True)
        (store.partial / key / "out").mkdir()
        (store.partial / key / "out" / "half").touch()
    for key in ("stale", "fresh", "held"):
        (store.partial / key / "scratch" / "checkpoint").touch()
    (store.partial / "gone.removed").mkdir()
    old = time.time() - 8 * 24 * 3600
    for key in ("stale", "held"):
        link = store.partial / key / "scratch" / "parent"
        link.symlink_to(store.artifacts / "collected" / "meanwhile")
        for path in (link, link.with_name("checkpoint"), link.parent):
            os.utime(path, (old, old), follow_symlinks=False)
    with store.lock("held"):
        removed = sweep(store)
    assert sorted(path.name for path in removed) == ["empty", "gone.removed", "stale"]
    assert sorted(path.name for path in store.partial.iterdir()) == ["fresh", "held"]


def test_the_builder_makes_what_it_says(store: Store, spec: BuildSpec) -> None:
    """A second, plain look at the artifact that all of the above relies on."""
    artifact = build(store.root, spec).artifact
    assert {file.path for file in artifact.manifest.files} == {f"part/{number}.bin" for number in range(3)}
    for number in range(3):
        assert (artifact.path / f"part/{number}.bin").read_bytes() == builder.content(number, 2000)
