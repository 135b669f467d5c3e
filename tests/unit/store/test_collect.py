from __future__ import annotations

from pathlib import Path

import pytest

from suture.errors import HostError
from suture.store import Store, durable
from suture.store.collect import collect
from suture.store.runs import list_runs, write_run
from tests.unit.store.builder import BuildSpec, build
from tests.unit.store.test_runs import record


def three_runs(store: Store, tally: Path) -> dict[str, str]:
    """Build four artifacts; runs `first` to `third` use two neighbours each. Returns name -> key."""
    keys = [build(store.root, BuildSpec(files=files, tally=tally)).artifact.key for files in range(1, 5)]
    for number, name in enumerate(("first", "second", "third")):
        used = record(name, hours=number).model_copy(update={"keys": tuple(keys[number : number + 2])})
        write_run(store, used)
    return dict(zip("abcd", keys, strict=True))


def test_what_the_kept_runs_use_stays(store: Store, tally: Path) -> None:
    keys = three_runs(store, tally)
    found = collect(store, keep_runs=2, dry_run=False)
    assert found.artifacts == (keys["a"],)
    assert found.runs == ("first",)
    assert set(store.list_keys()) == {keys["b"], keys["c"], keys["d"]}
    assert [run.run for run in list_runs(store)] == ["third", "second"]
    assert all(store.find(key) for key in store.list_keys())


def test_a_dry_run_says_the_same_and_removes_nothing(store: Store, tally: Path) -> None:
    three_runs(store, tally)
    before = [sorted(folder.rglob("*")) for folder in (store.artifacts, store.runs, store.verified, store.partial)]
    with store.in_use():
        planned = collect(store, keep_runs=1, dry_run=True)
        with pytest.raises(HostError, match="A run is using the store"):
            collect(store, keep_runs=1, dry_run=False)
    after = [sorted(folder.rglob("*")) for folder in (store.artifacts, store.runs, store.verified, store.partial)]
    assert after == before
    done = collect(store, keep_runs=1, dry_run=False)
    assert done == planned
    assert len(done.artifacts) == 2


def test_the_size_is_what_the_disk_gains(store: Store, tally: Path) -> None:
    keys = three_runs(store, tally)
    files = [path for path in (store.artifacts / keys["a"]).rglob("*") if path.is_file()]
    assert collect(store, keep_runs=2, dry_run=True).size == sum(path.stat().st_size for path in files)


def test_keep_nothing(store: Store, tally: Path) -> None:
    three_runs(store, tally)
    collect(store, keep_runs=0, dry_run=False)
    assert list(store.artifacts.iterdir()) == []
    assert list(store.partial.iterdir()) == []
    assert list(store.verified.iterdir()) == []
    assert list(store.runs.iterdir()) == []


def test_a_damaged_manifest_is_no_obstacle(store: Store, tally: Path) -> None:
    keys = three_runs(store, tally)
    manifest = store.artifacts / keys["a"] / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_text("{")
    assert collect(store, keep_runs=2, dry_run=False).artifacts == (keys["a"],)


def test_a_run_that_cannot_be_read_keeps_all(store: Store, tally: Path) -> None:
    keys = three_runs(store, tally)
    path = store.runs / "second" / "run.json"
    path.write_text(path.read_text().replace('"run":', '"mood": "of a newer Suture", "run":'))
    for dry_run in (True, False):
        with pytest.raises(HostError, match="cannot be read") as caught:
            collect(store, keep_runs=3, dry_run=dry_run)
        assert caught.value.found == "second"
    assert set(store.list_keys()) == set(keys.values())


def test_what_was_set_aside_goes(store: Store, tally: Path) -> None:
    spec = BuildSpec(tally=tally)
    for _ in range(2):
        artifact = build(store.root, spec).artifact
        write_run(store, record("only").model_copy(update={"keys": (artifact.key,)}))
        (artifact.path / "manifest.json").chmod(0o644)
        (artifact.path / "manifest.json").write_text("{")
        assert store.find(artifact.key) is None
    build(store.root, spec)
    durable.remove_tree(store.quarantine / f"{artifact.key}.1")
    damaged = store.artifacts / artifact.key / "part" / "0.bin"
    damaged.parent.chmod(0o755)
    damaged.unlink()
    assert store.find(artifact.key) is None, "there is a place for it beside the second"
    build(store.root, spec)
    found = collect(store, keep_runs=1, dry_run=True)
    assert found.damaged == (f"{artifact.key}.1", f"{artifact.key}.2")
    assert found.size == sum(path.stat().st_size for path in durable.walk_files(store.quarantine))
    assert collect(store, keep_runs=1, dry_run=False) == found
    assert list(store.quarantine.iterdir()) == []
    assert store.list_keys() == [artifact.key]


def test_an_empty_store(store: Store) -> None:
    assert collect(store, keep_runs=3, dry_run=False).artifacts == ()


def test_killed_writers_leave_nothing_for_long(store: Store, tally: Path) -> None:
    key = build(store.root, BuildSpec(tally=tally)).artifact.key
    part = store.verified / f"{key}.json.0123abcd.part"
    part.write_bytes(b"{")
    write_run(store, record("only").model_copy(update={"keys": (key,)}))
    collect(store, keep_runs=1, dry_run=False)
    assert not part.exists()
    assert store.has(key)
