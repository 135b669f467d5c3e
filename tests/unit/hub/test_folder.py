from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from suture.errors import SourceError
from suture.hub.folder import copy_folder, digests
from suture.settings import settings

NAMES = ("a", "b")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes(name.encode() * 1000)
    return folder


def expected(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in NAMES}


def test_digests_are_those_of_the_content(folder: Path) -> None:
    assert digests(folder, NAMES) == expected(folder)


def test_a_file_that_did_not_change_is_not_read_again(folder: Path) -> None:
    digests(folder, NAMES)
    (memory,) = (settings().cache / "digests").iterdir()
    rows = {name: [stamp, f"remembered {name}"] for name, (stamp, _) in json.loads(memory.read_bytes()).items()}
    memory.write_text(json.dumps(rows))
    assert digests(folder, NAMES) == {name: f"remembered {name}" for name in NAMES}
    (folder / "a").write_bytes(b"c" * 1000)  # of the same size
    assert digests(folder, NAMES) == {"a": hashlib.sha256(b"c" * 1000).hexdigest(), "b": "remembered b"}


def test_a_change_that_hides_behind_an_old_time_is_seen(folder: Path) -> None:
    digests(folder, NAMES)
    before = (folder / "a").stat()
    (folder / "a").write_bytes(b"c" * 1000)
    os.utime(folder / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert digests(folder, NAMES) == expected(folder)


def test_a_broken_memory_is_forgotten(folder: Path) -> None:
    digests(folder, NAMES)
    (memory,) = (settings().cache / "digests").iterdir()
    memory.write_text("{")
    assert digests(folder, NAMES) == expected(folder)


def test_copies_are_equal_and_counted(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    calls: list[tuple[int, int]] = []
    copy_folder(folder, expected(folder), tmp_path / "copy", lambda done, total: calls.append((done, total)))
    assert {name: (tmp_path / "copy" / name).read_bytes() for name in NAMES} == {
        name: (folder / name).read_bytes() for name in NAMES
    }
    assert calls == [(1000, 2000), (2000, 2000)]


def test_copies_where_blocks_cannot_be_shared(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> int:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    test_copies_are_equal_and_counted(folder, tmp_path)


@pytest.mark.parametrize("change", ["content", "gone"])
def test_a_file_that_changed_since_the_plan_is_refused(folder: Path, tmp_path: Path, change: str) -> None:
    files = digests(folder, NAMES)
    if change == "gone":
        (folder / "b").unlink()
    else:
        (folder / "b").write_bytes(b"c" * 1000)
    (tmp_path / "copy").mkdir()
    with pytest.raises(SourceError, match="changed after the plan") as caught:
        copy_folder(folder, files, tmp_path / "copy", lambda *_: None)
    assert str(folder / "b") in str(caught.value)
