from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from suture.errors import HostError
from suture.settings import Settings, settings


def test_defaults_lie_below_the_users_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SUTURE_STORE", "SUTURE_STATE", "SUTURE_CACHE", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    found = Settings()
    assert found.store == tmp_path / ".local/share/suture/store"
    assert found.state == tmp_path / ".local/share/suture/server"
    assert found.cache == tmp_path / ".cache/suture"


def test_the_environment_is_heeded_and_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUTURE_STORE", "/first")
    monkeypatch.setenv("SUTURE_OFFLINE", "1")
    settings.cache_clear()
    assert settings().store == Path("/first")
    assert settings().offline
    monkeypatch.setenv("SUTURE_STORE", "/second")
    assert settings().store == Path("/first")


def test_threads_are_those_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUTURE_THREADS", raising=False)
    assert Settings().threads == len(os.sched_getaffinity(0))


def test_nonsense_is_refused_and_all_of_it_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUTURE_THREADS", "0")
    monkeypatch.setenv("SUTURE_PARALLEL_STEPS", "many")
    monkeypatch.setenv("SUTURE_REMOTE", "share/suture")
    settings.cache_clear()
    with pytest.raises(HostError) as caught:
        settings()
    assert "SUTURE_THREADS=0" in str(caught.value)
    assert "SUTURE_PARALLEL_STEPS=many" in str(caught.value)
    assert "SUTURE_REMOTE=share/suture: Value error, a folder needs its absolute path" in str(caught.value)
    assert caught.value.exit_code == 2


def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a store in the working directory."""
    monkeypatch.setenv("SUTURE_STORE", "")
    assert Settings().store.is_absolute()


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        settings().threads = 3  # pyright: ignore[reportAttributeAccessIssue]
