from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from suture.errors import CorruptArtifactError, HostError
from suture.store import Store
from suture.store.artifact import FileEntry, files_digest
from tests.unit.store.builder import BuildSpec, build


def test_reading_an_absent_store_makes_nothing(store: Store) -> None:
    assert store.list_keys() == []
    assert not store.has("k")
    assert store.find("k") is None
    with pytest.raises(CorruptArtifactError, match="cannot be read"):
        store.load("k")
    assert store.free_bytes() > 0
    assert not store.root.exists()


def test_keys_come_oldest_first(store: Store, tally: Path) -> None:
    keys = [build(store.root, BuildSpec(files=files, tally=tally)).artifact.key for files in (3, 1, 2)]
    for age, key in enumerate(reversed(keys)):
        os.utime(store.artifacts / key, (1e9 - age, 1e9 - age))
    assert store.list_keys() == keys


def test_a_prefix_names_one_key(store: Store, spec: BuildSpec) -> None:
    key = build(store.root, spec).artifact.key
    assert store.resolve_prefix(key[:4]) == key
    assert store.resolve_prefix(key) == key
    for prefix in ("", key[:3], "zzzz", key + "0"):
        with pytest.raises(HostError, match="No single artifact"):
            store.resolve_prefix(prefix)


def test_an_ambiguous_prefix_is_refused(store: Store) -> None:
    for key in ("abcdef01", "abcdef02"):
        (store.artifacts / key).mkdir(parents=True)
        (store.artifacts / key / "manifest.json").touch()
    with pytest.raises(HostError, match="fits 2 artifacts"):
        store.resolve_prefix("abcdef0")
    assert store.resolve_prefix("abcdef02") == "abcdef02"


def test_the_one_file_of_a_kind(store: Store, spec: BuildSpec) -> None:
    artifact = build(store.root, spec).artifact
    assert artifact.only("1.bin") == artifact.path / "part" / "1.bin"
    with pytest.raises(ValueError, match="unpack"):
        artifact.only(".bin")


def test_the_digest_does_not_depend_on_the_order_of_files() -> None:
    entries = [FileEntry(path=f"f{number}", size=number, sha256=f"{number:064x}") for number in range(5)]
    assert files_digest(entries) == files_digest(reversed(entries))
    renamed = [entries[0].model_copy(update={"path": "g"}), *entries[1:]]
    assert files_digest(renamed) != files_digest(entries)


def test_a_store_that_cannot_be_made_says_where_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HostError) as caught, Store(tmp_path / "file" / "store").lock("k"):
        pass
    assert "SUTURE_STORE" in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_no_room_is_an_error_of_the_host(store: Store, number: int) -> None:
    with pytest.raises(HostError, match="full"), store.workspace("k"):
        raise OSError(number, os.strerror(number))
    assert list(store.partial.iterdir()) == []


def test_other_system_errors_are_not_taken_for_a_full_disk(store: Store) -> None:
    with pytest.raises(PermissionError), store.workspace("k"):
        raise PermissionError(errno.EACCES, "no")
    assert list(store.partial.iterdir()) == []


def test_removing(store: Store, spec: BuildSpec) -> None:
    key = build(store.root, spec).artifact.key
    store.remove(key)
    assert store.find(key) is None
    assert not build(store.root, spec).cached
