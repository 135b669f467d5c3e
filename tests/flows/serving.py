"""`suture up` as a test starts it, and what runs because of it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Up:
    """A running `suture up`."""

    process: subprocess.Popen[bytes]
    address: str

    @property
    def api(self) -> str:
        return f"{self.address}/api"


@contextlib.contextmanager
def serving(log: Path, *arguments: str) -> Generator[Up]:
    """Run `suture up` at a free port, with the test's own store and state."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "deployments", "up", "--port", str(port), *arguments]
    with log.open("wb") as sink, subprocess.Popen(command, cwd=CHECKOUT, stdout=sink, stderr=sink) as process:
        try:
            wait_until(lambda: b"Ctrl-C stops it" in log.read_bytes() or process.poll() is not None, 300)
            assert process.poll() is None, log.read_text()
            yield Up(process, f"http://127.0.0.1:{port}")
        finally:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)


def processes() -> dict[int, str]:
    """Command lines of all other processes that run with this test's store, by process id."""
    mark = f"SUTURE_STORE={os.environ['SUTURE_STORE']}".encode()
    found = {}
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            other = folder.name.isdigit() and int(folder.name) != os.getpid()
            if other and mark in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found
