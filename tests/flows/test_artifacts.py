"""What is shown on a run's page, and what becomes of the run where the server does not answer."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect import flow
from prefect.context import SyncClientContext
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED,
    temporary_settings,
)

from suture.errors import TransientError
from suture.sweep import SweepData
from tasks.artifacts import show_losses
from tasks.handover import build_on_gpu
from tasks.sweep import show_sweep
from tests.flows.toys import attempts, toy_plan, toy_recipe

LOSS = {"step": 1, "loss": 2.5, "learning_rate": 0.1, "grad_norm": 1, "tokens_per_second": 9, "memory_bytes": 1}


@contextlib.contextmanager
def server_away() -> Generator[None]:
    """Give the block clients that nobody answers; the run's own, which others would be given, is set aside."""
    nowhere: dict[Any, Any] = {
        PREFECT_API_URL: "http://127.0.0.1:9/api",
        PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED: False,
    }
    with temporary_settings(nowhere), SyncClientContext(httpx_settings={"timeout": 60}):
        yield


@pytest.mark.usefixtures("server", "store")
def test_while_the_server_is_away_nothing_is_lost(
    notes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fetch, *_ = toy_plan(toy_recipe(), notes).steps
    (tmp_path / "losses.jsonl").write_text(json.dumps(LOSS))
    trained: Any = SimpleNamespace(cached=False, artifact=SimpleNamespace(path=tmp_path))

    @flow
    def without_server() -> None:
        with server_away():
            show_losses(fetch, trained)
            show_sweep(SweepData(name="s", recipe="s", axes=(), rows=()))
            with pytest.raises(TransientError, match="does not answer"):
                build_on_gpu(fetch)

    without_server()
    assert caplog.text.count("the server did not take") == 2
    assert attempts(notes) == {}, "it is tried again, and not trained on a machine that is not meant for it"
