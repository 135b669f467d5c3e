from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from suture.store import durable


def test_writing_replaces_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    durable.write_atomically(path, b"first, and longer")
    durable.write_atomically(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_content_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    durable.write_atomically(path, b"old")
    with pytest.raises(TypeError):
        durable.write_atomically(path, "text, not bytes")  # pyright: ignore[reportArgumentType]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_many_threads_write_one_file(tmp_path: Path) -> None:
    """Whoever reads meanwhile sees one of the contents, whole."""
    path = tmp_path / "run.json"
    contents = [bytes([65 + number]) * 50_000 for number in range(8)]
    durable.write_atomically(path, contents[0])
    errors: list[BaseException] = []
    seen: set[bytes] = set()

    def write(content: bytes) -> None:
        try:
            for _ in range(5):
                durable.write_atomically(path, content)
                seen.add(path.read_bytes())
        except BaseException as error:  # noqa: BLE001 -- a thread's error must reach the test
            errors.append(error)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert seen <= set(contents)
    assert list(tmp_path.iterdir()) == [path]


def test_digest(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert durable.sha256_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_files_come_sorted_and_links_do_not(tmp_path: Path) -> None:
    for name in ("b", "a/z", "a/y", "c/deep/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "b")
    found = [str(path.relative_to(tmp_path)) for path in durable.walk_files(tmp_path)]
    assert found == ["a/y", "a/z", "b", "c/deep/x"]


def test_read_only_trees_can_be_removed(tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "file").touch()
    durable.seal(folder)
    folder.chmod(0o555)
    durable.remove_tree(folder)
    assert not folder.exists()
    durable.remove_tree(folder)  # what is not there is no error
