"""A hub on this machine, a cache of each test's own, and a model to fetch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from suture.hub.bandwidth import bandwidth
from suture.settings import settings
from suture.store import Workspace
from tests.unit.hub import local_hub
from tests.unit.hub.checkpoint_files import checkpoint_files
from tests.unit.hub.local_hub import LocalHub


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUTURE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf"))
    settings.cache_clear()
    bandwidth.cache_clear()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """The local hub, which the client is pointed at."""
    with local_hub.serve() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it to forbid the network."""

    def forbid() -> None:
        monkeypatch.setenv("SUTURE_OFFLINE", "1")
        settings.cache_clear()

    return forbid


@pytest.fixture
def model() -> dict[str, bytes]:
    """The files of a model in two shards, with files beside it that are never fetched."""
    return checkpoint_files() | {
        "README.md": b"---\nlicense: apache-2.0\n---\n# A model\n",
        "LICENSE": b"Apache License\nVersion 2.0\n",
        "chat_template.jinja": b"{{ messages }}",
        "consolidated.safetensors": b"the same weights again",
        "pytorch_model.bin": b"a pickle",
        "modeling_evil.py": b"import os",
        "onnx/model.safetensors": b"in a folder",
        ".gitattributes": b"*.safetensors filter=lfs",
    }


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    """A workspace as the store gives it, for one attempt at a step."""
    workspace = Workspace("0" * 64, tmp_path / "work" / "out", tmp_path / "work" / "scratch")
    workspace.out.mkdir(parents=True)
    workspace.scratch.mkdir()
    return workspace
