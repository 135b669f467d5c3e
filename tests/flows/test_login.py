"""A server that other machines can reach asks for a login; one on loopback listens to no other site's pages."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from deployments.hosts import is_ours
from deployments.login import make_login, require_host
from deployments.postgres import outside_database
from deployments.server import Server, managed_server
from deployments.state import Address, StateFolder, post
from deployments.worker import make_pools
from suture.errors import HostError
from suture.settings import settings

GUEST = """
import json, os
from deployments.run import join_server
server = join_server()
from prefect.client.orchestration import get_client
with get_client(sync_client=True) as client:
    print(json.dumps([server.api, len(client.read_flows()), os.environ["PREFECT_HOME"]]))
"""


@pytest.fixture
def state() -> StateFolder:
    state = StateFolder(settings().state)
    state.make()
    return state


def test_login_is_asked_for_and_given(state: StateFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_login(state)
    with managed_server(host="0.0.0.0") as server:  # noqa: S104
        asked = f"{server.api}/flows/filter"
        assert httpx.post(asked, json={}).status_code == HTTPStatus.UNAUTHORIZED
        user, _, password = server.environment["PREFECT_API_AUTH_STRING"].partition(":")
        assert httpx.post(asked, json={}, auth=(user, "guessed")).status_code == HTTPStatus.UNAUTHORIZED
        assert httpx.post(asked, json={}, auth=(user, password)).status_code == HTTPStatus.OK
        monkeypatch.setenv("PREFECT_API_AUTH_STRING", "of:another")
        assert post(server.api, "/flows/filter", {}) == []
        make_pools(server.api, ["cpu"])
        assert httpx.get(f"{server.ui}/ui-settings").json()["api_url"] == "/api"
        with pytest.raises(InvalidStatus):
            connect(f"{server.api.replace('http', 'ws')}/events/in", origin=Origin("http://evil.example"))

        home = tmp_path / "prefect"
        home.mkdir()
        profile = {"PREFECT_API_URL": server.api, "PREFECT_API_AUTH_STRING": f"{user}:{password}"}
        lines = ['active = "mine"', "[profiles.mine]", *(f'{name} = "{value}"' for name, value in profile.items())]
        (home / "profiles.toml").write_text("\n".join(lines))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        environment |= {"PREFECT_HOME": str(home), "SUTURE_STATE": str(tmp_path / "elsewhere")}
        said = subprocess.run(
            [sys.executable, "-c", GUEST], env=environment, capture_output=True, text=True, check=True
        )
        assert json.loads(said.stdout) == [server.api, 0, str(home)], "the user's login and profile stay"


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
    assert state.require_login() == "me:mine"
    state.login.unlink()
    with pytest.raises(HostError, match="cannot be read"):
        state.require_login()


@pytest.mark.parametrize("host", ["workstation", "203.0.113.7", ""])
def test_address_of_another_machine(host: str) -> None:
    with pytest.raises(HostError, match="no such address"):
        require_host(host)


def test_own_addresses() -> None:
    assert is_ours("http://127.0.0.1:4200/api")
    assert not is_ours("http://203.0.113.7:4200/api")
    assert not is_ours("http://workstation:4200/api")


def test_names_of_the_managed_server() -> None:
    address = Address(port=4200)
    assert all(address.is_at(url) for url in (address.api, f"{address.ui}/", "http://localhost:4200/api"))
    assert not any(address.is_at(f"http://{it}/api") for it in ("127.0.0.1:4201", "workstation:4200", "127.0.0.1:x"))
    assert Address(host="0.0.0.0", port=4200).is_at("http://localhost:4200")  # noqa: S104
    assert not Address(host="192.0.2.1", port=4200).is_at("http://localhost:4200"), "a tunnel may begin there"


def test_page_of_another_site_may_not_ask(server: Server) -> None:
    wanted = {
        "Origin": "http://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    refused = httpx.options(f"{server.api}/deployments/", headers=wanted)
    assert "access-control-allow-origin" not in refused.headers
    simple = httpx.post(f"{server.api}/flows/filter", content="{}", headers={"Origin": "http://evil.example"})
    assert simple.status_code == HTTPStatus.FORBIDDEN
    allowed = httpx.options(f"{server.api}/deployments/", headers=wanted | {"Origin": server.ui})
    assert allowed.headers["access-control-allow-origin"] == server.ui


def test_name_of_another_site_is_not_ours(server: Server) -> None:
    """Such a name may lead to 127.0.0.1 for as long as a page of it is open."""
    for host, status in (
        ("evil.example:4200", HTTPStatus.FORBIDDEN),
        ("127.0.0.1.evil.example", HTTPStatus.FORBIDDEN),
        ("", HTTPStatus.FORBIDDEN),
        ("localhost:4201", HTTPStatus.OK),  # through a tunnel that begins there
        ("[::1]:4201", HTTPStatus.OK),
    ):
        headers = {"Host": host, "Origin": f"http://{host}"}
        assert httpx.post(f"{server.api}/flows/filter", json={}, headers=headers).status_code == status, host


def test_websocket_of_another_site_is_refused(server: Server) -> None:
    events = f"{server.api.replace('http', 'ws')}/events/in"
    for origin in (None, Origin(server.ui)):
        with connect(events, origin=origin):
            pass
    for origin in ("http://evil.example", "http://127.0.0.1:1", "null"):
        with pytest.raises(InvalidStatus) as caught:
            connect(events, origin=Origin(origin))
        assert caught.value.response.status_code == HTTPStatus.FORBIDDEN


def test_database_that_is_no_postgresql() -> None:
    with pytest.raises(HostError, match="no PostgreSQL") as caught:
        outside_database("sqlite:///home/me/secret.db")
    assert "secret" not in str(caught.value)
    assert outside_database("postgresql://me:pw@db/prefect").url == "postgresql+asyncpg://me:pw@db/prefect"
