from __future__ import annotations

import os
from pathlib import Path

import pytest

from suture.checkpoint import journal
from suture.checkpoint.journal import Journal


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"content")
    return path


@pytest.fixture
def written(tmp_path: Path, file: Path) -> Path:
    path = tmp_path / "written.json"
    Journal(path).add(file)
    return path


def test_what_was_noted_down_is_known_to_the_next_process(written: Path, file: Path) -> None:
    assert Journal(written).has(file)
    assert not Journal(written).has(file.with_name("other"))


def test_a_file_that_was_touched_since_is_not_taken_over(written: Path, file: Path) -> None:
    file.write_bytes(b"CONTENT")
    assert not Journal(written).has(file)


def test_a_file_that_was_replaced_with_its_times_is_not_taken_over(written: Path, file: Path) -> None:
    status = file.stat()
    other = file.with_name("other")
    other.write_bytes(b"CONTENT")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(file)
    assert not Journal(written).has(file)


def test_a_file_that_is_gone_is_not_there(written: Path, file: Path) -> None:
    file.unlink()
    assert not Journal(written).has(file)


def test_after_a_restart_of_the_machine_nothing_is_taken_over(
    written: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_boot = tmp_path / "boot_id"
    other_boot.write_text("another\n")
    monkeypatch.setattr(journal, "_BOOT", other_boot)
    assert not Journal(written).has(file)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"files": {}}'])
def test_a_damaged_journal_is_an_empty_one(tmp_path: Path, file: Path, content: str) -> None:
    path = tmp_path / "written.json"
    path.write_text(content)
    assert not Journal(path).has(file)
