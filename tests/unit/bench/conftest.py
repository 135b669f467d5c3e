from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from tests.unit.bench.scripted import JSON, Scripted

MODELS: JSON = {"object": "list", "data": [{"id": "scripted", "object": "model"}]}
PLAIN = {"/v1/models": (200, MODELS)}
LLAMA = {
    **PLAIN,
    "/health": (200, {"status": "ok"}),
    "/props": (200, {"default_generation_settings": {}, "chat_template_caps": {"supports_tools": True}}),
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask a failing endpoint again at once, not after half a second."""
    monkeypatch.setattr("suture.bench.chat._BACKOFF_SECONDS", 0.01)


@contextmanager
def running(pages: dict[str, tuple[int, JSON]]) -> Generator[Scripted]:
    server = Scripted(pages=pages)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def endpoint() -> Generator[Scripted]:
    """A scripted endpoint that knows nothing but the OpenAI API."""
    with running(PLAIN) as server:
        yield server


@pytest.fixture
def llama() -> Generator[Scripted]:
    """A scripted endpoint that calls itself llama-server."""
    with running(LLAMA) as server:
        yield server
