"""A small GGUF, a workspace, and folders that look like a llama.cpp."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from suture.gguf.build import BINARIES
from suture.store import Workspace
from tests.unit.gguf.plain_gguf import write_gguf


@pytest.fixture
def small_gguf(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "small.gguf")


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    for name in ("out", "scratch"):
        (tmp_path / name).mkdir()
    return Workspace("ab" * 32, tmp_path / "out", tmp_path / "scratch")


@pytest.fixture
def write_binaries() -> Callable[..., Path]:
    """Writes executables that tell a version, as llama.cpp's do."""

    def write(folder: Path, names: tuple[str, ...] = BINARIES, release: str = "1.2.3 (build 7)") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            path = folder / name
            path.write_text(f"#!/bin/sh\necho 'version: {release}' >&2\n")
            path.chmod(0o755)
        return folder

    return write
