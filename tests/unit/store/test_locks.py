from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import pytest

from suture.store.locks import is_locked, locked, try_locked


def test_exclusive_excludes_all_and_shared_only_exclusive(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path):
        with try_locked(path) as held:
            assert not held
        with try_locked(path, shared=True) as held:
            assert not held
    with locked(path, shared=True):
        with try_locked(path, shared=True) as held:
            assert held
        with try_locked(path) as held:
            assert not held
    with try_locked(path) as held:
        assert held


def test_a_lock_is_given_back_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with contextlib.suppress(ZeroDivisionError), locked(path):
        raise ZeroDivisionError
    assert not is_locked(path)


def test_looking_makes_no_lock_file(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "lock")
    assert list(tmp_path.iterdir()) == []


def test_who_looks_is_not_taken_for_a_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path, shared=True):  # as one who looks holds it for a moment
        assert not is_locked(path)
        assert is_locked(path, also_shared=True)
    with locked(path):
        assert is_locked(path)


def test_a_wait_can_be_ended(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    def enough(seconds: float) -> None:
        if seconds > 0.1:
            raise KeyboardInterrupt

    with locked(path):
        with pytest.raises(KeyboardInterrupt), locked(path, still=enough):
            pass
        assert is_locked(path)


def test_waiting_is_told_once_and_ends(tmp_path: Path) -> None:
    """Threads of one process exclude each other too."""
    path = tmp_path / "lock"
    told: list[str] = []
    waiting, held = threading.Event(), threading.Event()

    def on_wait() -> None:
        told.append("waiting")
        waiting.set()

    def wait_for_it() -> None:
        with locked(path, on_wait=on_wait):
            held.set()

    thread = threading.Thread(target=wait_for_it)
    with locked(path):
        thread.start()
        assert waiting.wait(30)
        assert not held.wait(0.5)  # long enough for several more tries
    assert held.wait(30)
    thread.join()
    assert told == ["waiting"]


def test_a_free_lock_is_not_waited_for(tmp_path: Path) -> None:
    told: list[str] = []
    with locked(tmp_path / "lock", on_wait=lambda: told.append("waiting")):
        assert told == []
