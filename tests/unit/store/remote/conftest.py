from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from suture.store import Store
from suture.store.remote import open_remote
from tests import s3


@pytest.fixture(scope="session")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Generator[int]:
    """A real S3-compatible server; its port."""
    with s3.weed(tmp_path_factory.mktemp("weed")) as port:
        yield port


@pytest.fixture
def gate(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Generator[s3.Gate]:
    """What passes on its way to the server; this process, and what it starts, are its clients."""
    with s3.gate(request.getfixturevalue("weed")) as passing:
        for name, value in passing.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
        open_remote.cache_clear()
        yield passing
    open_remote.cache_clear()


@pytest.fixture(params=["folder", "bucket"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty remote of either kind."""
    if request.param == "bucket":
        request.getfixturevalue("gate")
        return f"s3://{s3.BUCKET}/{tmp_path.name}"
    (tmp_path / "remote").mkdir()
    return f"file://{tmp_path / 'remote'}"


@pytest.fixture
def stores(tmp_path: Path, address: str) -> Callable[[str], Store]:
    """Makes the store of a machine of this name, with the remote that all share."""
    return lambda machine: Store(tmp_path / machine, open_remote(address))
