"""What the server, its clients and the commands have in their environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployments.environment import prefect_environment
from deployments.state import StateFolder
from suture.cli.flows import flows_command
from suture.settings import settings
from tests.flows.serving import CHECKOUT


def test_environment_of_what_is_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    state = StateFolder(settings().state)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUTURE_STORE", "a/store")
    monkeypatch.setenv("PREFECT_API_KEY", "of another server")
    monkeypatch.setenv("PREFECT_PROFILE", "of the user")
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("no_proxy", "example.org")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert flows_command("status")[1]["PYTHONPATH"] == str(CHECKOUT), "an empty entry is the working directory"
    assert prefect_environment(state, "")["PYTHONPATH"] == str(CHECKOUT)
    monkeypatch.setenv("PYTHONPATH", f":{tmp_path}:")
    assert flows_command("status")[1]["PYTHONPATH"] == f"{CHECKOUT}:{tmp_path}"
    environment = prefect_environment(state, "http://127.0.0.1:1/api")
    assert environment["SUTURE_STORE"] == str(tmp_path / "a" / "store")
    assert environment["PYTHONPATH"] == f"{CHECKOUT}:{tmp_path}"
    assert environment["no_proxy"] == "example.org,127.0.0.1"
    assert environment["PREFECT_API_URL"] == "http://127.0.0.1:1/api"
    assert environment["PREFECT_HOME"] == str(state.root / "prefect")
    assert not {"PREFECT_API_KEY", "PREFECT_PROFILE", "PGPORT"} & environment.keys()
