"""The guardian: keeps one Prefect server and its database up exactly as long as somebody uses them.

    client --starts--> guardian --children, which die with it--> postgres, server
       |                  |
       +--- shared -------+--- exclusive, once every client is gone --> shuts down and exits
                   lease.lock

The lease is a flock, so a client killed with kill -9 gives it back like any other. The guardian detaches itself from
the client that started it: a Ctrl-C there must not end the server that others use.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import suture
from deployments.environment import prefect_environment
from deployments.history import EVERYWHERE, end_lost_runs, revive_living_runs
from deployments.hosts import HOST, is_loopback
from deployments.postgres import Database, NoPostgresError, outside_database, running_postgres
from deployments.state import (
    AWAY,
    LOGS,
    Address,
    StateFolder,
    answers,
    state_of_this_machine,
)
from suture.errors import TransientError
from suture.orphans import end_orphans
from suture.process import start_process, tail
from suture.settings import settings
from suture.store import locks

DEFAULT_PORT = 4200
"""Prefect's own, taken when it is free: then the pages are where its manual says."""

_POLL_SECONDS = 0.3

_ORPHANS_SECONDS = 5.0
"""Between two looks for what a killed run has left behind."""

_LOG_BYTES = 4_000_000


@dataclass(frozen=True)
class Services:
    """The server and its database, both up."""

    address: Address
    are_up: Callable[[], bool]
    stop: Callable[[], None]


def main() -> None:
    """Become the guardian, unless there is one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default=HOST, help="IP address that the server listens on")
    parser.add_argument("--port", type=int, help="port of the server; any free one when left out")
    arguments = parser.parse_args()
    ready = _detach()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    os.umask(0o077)  # logs and history tell of the user's work
    state = state_of_this_machine()
    with locks.try_locked(state.guardian) as alone:
        if alone:
            _trim_logs(state)
            with _listen(state, arguments.host, arguments.port) as listener:
                state.forget_address()  # of a guardian that was killed
                guard(state, listener, ready)
    ready()


def guard(state: StateFolder, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until the last client is gone; what dies under the clients is started again."""
    end_orphans()
    with locks.try_locked(state.users) as nobody:
        clear_history = nobody
    while True:
        with _serving(state, listener) as services:
            if clear_history:
                end_lost_runs(services.address.api, EVERYWHERE)
                clear_history = False
            state.write_address(services.address)
            ready()
            looked = time.monotonic()
            while services.are_up():
                if time.monotonic() - looked > _ORPHANS_SECONDS:
                    end_orphans()
                    with contextlib.suppress(*AWAY):  # the server is away for a moment: the next look will tell
                        revive_living_runs(services.address.api)
                    looked = time.monotonic()
                with locks.try_locked(state.lease) as unused:
                    if unused:
                        end_lost_runs(services.address.api, EVERYWHERE)
                        state.forget_address()
                        services.stop()
                        return
                time.sleep(_POLL_SECONDS)


def _detach() -> Callable[[], None]:
    """Go on in a session of our own. The process that was started ends when the result is called, or when we end."""
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        os._exit(0 if os.read(reader, 1) else 1)
    os.close(reader)
    os.setsid()

    def ready() -> None:
        with contextlib.suppress(OSError):  # it was told before, or was killed
            os.write(writer, b"1")
            os.close(writer)

    return ready


def _listen(state: StateFolder, host: str, port: int | None) -> socket.socket:
    """Take the server's port, and keep it while the server starts, or starts again."""
    if port is not None:
        return socket.create_server((host, port))
    last = state.read_address()  # of a guardian that was killed: clients may have outlived it
    for wanted in (last.port if last else DEFAULT_PORT, DEFAULT_PORT):
        with contextlib.suppress(OSError):
            return socket.create_server((host, wanted))
    return socket.create_server((host, 0))


@contextlib.contextmanager
def _serving(state: StateFolder, listener: socket.socket) -> Generator[Services]:
    with contextlib.ExitStack() as stack:
        database = _database(state, stack)
        host, port = listener.getsockname()
        address = Address(host=host, port=port, notice=database.notice)
        environment = prefect_environment(state, address.api) | _server_settings(state, address, database)
        # What `prefect server start` runs, without the seconds that its command line takes to be imported. uvicorn
        # would put the working directory first on sys.path.
        command = [sys.executable, "-P", "-m", "uvicorn", "--factory", "deployments.app:create_app"]
        command += ["--app-dir", str(Path(suture.__file__).parents[1])]
        command += ["--fd", str(listener.fileno()), "--lifespan", "on", "--log-level", "warning"]
        log = state.log("server")
        server = stack.enter_context(
            start_process(command, log=log, env=environment, inherit=[listener.fileno()], grace=10)
        )

        def are_up() -> bool:
            return server.poll() is None and database.is_up()

        while not answers(address.api, timeout=1):
            if not are_up():
                raise TransientError("The Prefect server does not start.", where=log, found=tail(log))
            if not locks.is_locked(state.lease, also_shared=True):
                sys.exit()  # who wanted it is gone
            time.sleep(0.05)
        yield Services(address, are_up, stack.close)


def _server_settings(state: StateFolder, address: Address, database: Database) -> dict[str, str]:
    login = None if is_loopback(address.host) else state.require_login()
    return {
        "PREFECT_SERVER_API_HOST": address.host,
        "PREFECT_SERVER_API_PORT": str(address.port),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database.url,
        "PREFECT_UI_STATIC_DIRECTORY": str(state.root / "ui"),
        # Of the host that the pages come from, whatever another machine calls this one.
        "PREFECT_UI_API_URL": "/api",
        # No page of another site may tell the server what to run: Prefect's default lets every page of the web.
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": address.ui,
    } | ({"PREFECT_SERVER_API_AUTH_STRING": login} if login else {})


def _database(state: StateFolder, stack: contextlib.ExitStack) -> Database:
    own = settings().database
    if own is not None:
        return outside_database(own.get_secret_value())
    try:
        return stack.enter_context(running_postgres(state.root / "postgres", state.log("postgres")))
    except NoPostgresError as error:
        notice = (
            f"The embedded PostgreSQL does not work here ({error}). The history is kept in SQLite, "
            "which loses runs when many are created at once."
        )
        return Database(f"sqlite+aiosqlite:///{state.root / 'prefect.db'}", lambda: True, notice)


def _trim_logs(state: StateFolder) -> None:
    for name in LOGS:
        log = state.log(name)
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            os.truncate(log, 0)


if __name__ == "__main__":
    main()
