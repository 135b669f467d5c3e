"""One managed server for this folder's tests, and what they ask it."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from deployments.run import join_server
from deployments.server import Server
from deployments.state import post
from suture.settings import settings
from suture.steps import STEPS


@pytest.fixture(autouse=True)
def own_steps() -> Generator[None]:
    """Give the steps back after a test: toys stand in for some, under their names and with versions of their own."""
    before = dict(STEPS)
    yield
    STEPS.update(before)


@pytest.fixture(scope="session")
def joined() -> tuple[Server, dict[str, str]]:
    """The managed server, and this process's environment as its client.

    It stays a client until pytest ends: Prefect sends its last logs then.
    """
    # Not below pytest's folder: another pytest takes away the rights that PostgreSQL's own user needs there.
    state = tempfile.mkdtemp(prefix="suture-state-")
    atexit.register(shutil.rmtree, state, ignore_errors=True)
    before = dict(os.environ)
    os.environ["SUTURE_STATE"] = state
    settings.cache_clear()
    server = join_server()
    environment = dict(os.environ)
    _set_environment(before)
    return server, environment


@pytest.fixture(scope="module")
def server(joined: tuple[Server, dict[str, str]]) -> Generator[Server]:
    """The managed server, with this process as its client."""
    server, environment = joined
    before = dict(os.environ)
    _set_environment(environment)
    yield server
    _set_environment(before)


def _set_environment(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    settings.cache_clear()


@pytest.fixture
def ask(server: Server) -> Callable[..., Any]:
    """Asks the server's API."""
    return lambda path, **body: post(server.api, path, body)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Where toy steps note their attempts."""
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder
