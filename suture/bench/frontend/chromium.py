"""Finds Chromium, and starts it so that it can neither outlive us nor do harm.

The page is a stranger's code. Chromium runs as the user `nobody` where we are root, and in its own sandbox wherever
this machine allows that (as root it never does: there, without `nobody`, it is started with `--no-sandbox`). It has
no network: every name and address leads to a proxy that is not there, WebSockets and WebRTC included. It may hold
2 GiB in each of its processes.

It is our child (`suture.process`): the kernel kills it when the thread that started it dies, and its own children
follow when their channel to it breaks.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from suture.errors import ToolError
from suture.process import Child, start_process, tail
from suture.settings import settings

NAMES = ("chromium", "chromium-browser", "google-chrome")

_OPTIONS = (
    "headless=new",
    "disable-gpu",
    "disable-background-networking",
    "disable-breakpad",
    "disable-dev-shm-usage",
    "disable-extensions",
    "disable-sync",
    "force-color-profile=srgb",
    "force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "hide-scrollbars",
    "js-flags=--max-old-space-size=512",
    "mute-audio",
    "no-first-run",
    "password-store=basic",
    "proxy-bypass-list=<-loopback>",
    "proxy-server=http://127.0.0.1:9",
    "remote-debugging-port=0",
)

_LIMITED = 'ulimit -c 0; ulimit -d 2097152; exec "$0" "$@"'  # kB
"""RLIMIT_DATA and not RLIMIT_AS: Chromium reserves far more addresses than it uses."""

_START_SECONDS = 30.0


@dataclass(frozen=True)
class Chromium:
    """A running Chromium.

    Attributes:
        child: Its first process; without it the others end.
        endpoint: Where it takes commands. Other users of this machine could give some too while it runs.
        sandboxed: Whether its own sandbox is on.
    """

    child: Child
    endpoint: str
    sandboxed: bool


def find_chromium() -> Path | None:
    """Return Chromium's program: the one that the settings name, else one on the PATH; None without.

    Raises:
        ToolError: When the one that the settings name is not there.
    """
    named = settings().chromium
    if named is not None:
        if shutil.which(named) is None:
            raise ToolError(
                "The Chromium that the settings name cannot be run.", where=named, way_out="Correct SUTURE_CHROMIUM."
            )
        return named
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return None if found is None else Path(found)


@contextlib.contextmanager
def running(program: Path) -> Generator[Chromium]:
    """Start Chromium, with its sandbox if that can be; end it when the block is left.

    Raises:
        ToolError: When it does not start.
    """
    log = ""
    for user, sandboxed in _ways():
        with _started(program, user, sandboxed=sandboxed) as started:
            if isinstance(started, Chromium):
                yield started
                return
            log = started
    raise ToolError("Chromium does not start.", where=program, found=log, way_out="Start it by hand, and see why.")


def _ways() -> list[tuple[int | None, bool]]:
    """Return as which user, and whether in its sandbox, Chromium can be tried, the best first."""
    if os.geteuid() != 0:
        return [(None, True), (None, False)]
    with contextlib.suppress(KeyError):
        nobody = pwd.getpwnam("nobody").pw_uid
        return [(nobody, True), (nobody, False), (None, False)]
    return [(None, False)]


@contextlib.contextmanager
def _started(program: Path, user: int | None, *, sandboxed: bool) -> Generator[Chromium | str]:
    """Start Chromium one way; give the end of its log when it does not come up."""
    with tempfile.TemporaryDirectory(prefix="suture-chromium-", ignore_cleanup_errors=True) as folder:
        home = Path(folder) / "home"
        home.mkdir()
        if user is not None:
            Path(folder).chmod(0o711)
            os.chown(home, user, -1)
        options = [*_OPTIONS, f"user-data-dir={home}", *([] if sandboxed else ["no-sandbox"])]
        log = Path(folder) / "log"
        with start_process(
            ["/bin/sh", "-c", _LIMITED, program, *(f"--{option}" for option in options), "about:blank"],
            log=log,
            cwd=home,
            env={"HOME": str(home), "PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
            user=user,
        ) as child:
            port = _port(child, home / "DevToolsActivePort")
            yield tail(log) if port is None else Chromium(child, f"http://127.0.0.1:{port}", sandboxed)
            child.kill()  # with a page that does not listen it would not end by SIGTERM
            child.wait()


def _port(child: Child, file: Path) -> int | None:
    """Return the port that Chromium writes down when it is ready; None when it ends before."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            lines = file.read_text().split()
            if len(lines) > 1:  # the second line is written with the first
                return int(lines[0])
        time.sleep(0.02)
    return None
