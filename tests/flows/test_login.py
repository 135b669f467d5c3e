"""A server that other machines can reach asks for a login; one on loopback listens to no other site's pages."""

from __future__ import annotations

import stat
from http import HTTPStatus

import httpx
import pytest

from deployments.login import make_login, require_host
from deployments.postgres import outside_database
from deployments.server import Server, managed_server
from deployments.state import StateFolder, is_ours, post
from deployments.worker import make_pools
from suture.errors import HostError
from suture.settings import settings


@pytest.fixture
def state() -> StateFolder:
    state = StateFolder(settings().state)
    state.make()
    return state


def test_login_is_asked_for_and_given(state: StateFolder) -> None:
    make_login(state)
    with managed_server(host="0.0.0.0") as server:  # noqa: S104
        asked = f"{server.api}/flows/filter"
        assert httpx.post(asked, json={}).status_code == HTTPStatus.UNAUTHORIZED
        user, _, password = server.environment["PREFECT_API_AUTH_STRING"].partition(":")
        assert httpx.post(asked, json={}, auth=(user, "guessed")).status_code == HTTPStatus.UNAUTHORIZED
        assert httpx.post(asked, json={}, auth=(user, password)).status_code == HTTPStatus.OK
        assert post(server.api, "/flows/filter", {}) == []
        make_pools(server.api, ["cpu"])
        assert httpx.get(f"{server.ui}/ui-settings").json()["api_url"] == "/api"


def test_login_is_random_secret_and_kept(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_AUTH_STRING", raising=False)
    make_login(state)
    first = state.read_login()
    assert first is not None
    assert len(first) > len("suture:") + 20
    assert stat.S_IMODE(state.login.stat().st_mode) == 0o600
    make_login(state)
    assert state.read_login() == first
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "me:mine")
    make_login(state)
    assert state.read_login() == "me:mine"
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "nobody")
    with pytest.raises(HostError, match="is no login"):
        make_login(state)


@pytest.mark.parametrize("host", ["workstation", "203.0.113.7", ""])
def test_address_of_another_machine(host: str) -> None:
    with pytest.raises(HostError, match="no such address"):
        require_host(host)


def test_own_addresses() -> None:
    assert is_ours("http://127.0.0.1:4200/api")
    assert not is_ours("http://203.0.113.7:4200/api")
    assert not is_ours("http://workstation:4200/api")


def test_page_of_another_site_may_not_ask(server: Server) -> None:
    wanted = {
        "Origin": "http://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    refused = httpx.options(f"{server.api}/deployments/", headers=wanted)
    assert "access-control-allow-origin" not in refused.headers
    allowed = httpx.options(f"{server.api}/deployments/", headers=wanted | {"Origin": server.ui})
    assert allowed.headers["access-control-allow-origin"] == server.ui


def test_database_that_is_no_postgresql() -> None:
    with pytest.raises(HostError, match="no PostgreSQL") as caught:
        outside_database("sqlite:///home/me/secret.db")
    assert "secret" not in str(caught.value)
    assert outside_database("postgresql://me:pw@db/prefect").url == "postgresql+asyncpg://me:pw@db/prefect"
