from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from suture.gguf import copying


def copied(source: Path, start: int, head: bytes) -> bytes:
    target = source.with_name("target")
    seen: list[tuple[int, int]] = []
    with source.open("rb") as read_from, target.open("wb") as write_to:
        write_to.write(head)
        write_to.flush()
        copying.copy_bytes(read_from.fileno(), write_to.fileno(), start, lambda *row: seen.append(row))
    total = source.stat().st_size - start
    assert seen[-1] == (total, total)
    return target.read_bytes()


@pytest.mark.parametrize("start", [0, 1, 5000])
def test_everything_from_the_start_on_is_appended(
    tmp_path: Path, start: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_CHUNK", 4096)
    source = tmp_path / "source"
    source.write_bytes(os.urandom(20_001))
    assert copied(source, start, b"head") == b"head" + source.read_bytes()[start:]


def test_where_the_kernel_refuses_to_copy_between_the_files_it_sends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    source = tmp_path / "source"
    source.write_bytes(os.urandom(9000))
    assert copied(source, 10, b"head") == b"head" + source.read_bytes()[10:]


def test_a_full_disk_is_not_taken_for_such_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "copy_file_range", fill)
    source = tmp_path / "source"
    source.write_bytes(b"x" * 100)
    with pytest.raises(OSError, match="No space left"):
        copied(source, 0, b"")
