from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from tests.unit.store.builder import BuildSpec


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """Starts real processes in milliseconds: they are forked from a server that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.unit.store.builder"])
    return context


@pytest.fixture
def tally(tmp_path: Path) -> Path:
    """The file that gets a line for each time the step really ran."""
    path = tmp_path / "tally"
    path.touch()
    return path


@pytest.fixture
def spec(tally: Path) -> BuildSpec:
    return BuildSpec(tally=tally)
