"""Real orphans: grandchildren that went away from their parent, which was then killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from suture.launcher import MARK, identity
from suture.orphans import end_orphans, mark
from tests.unit.test_process import is_running, wait_for, wait_until_gone

PARENT = """
import pathlib, sys
from suture.process import start_process
code, lives_on, log = sys.argv[1:]
with start_process([sys.executable, "-c", code, log], log=pathlib.Path(log + ".log"), lives_on=bool(lives_on)):
    sys.stdin.read()
"""

ESCAPING = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        {signals}
        os.rename(sys.argv[1] + ".new", sys.argv[1]) if open(sys.argv[1] + ".new", "w").write(str(os.getpid())) else 0
        time.sleep(120)
time.sleep(120)
"""
"""Forks twice into a session of its own: no signal of the kernel's follows it there."""

Start = Callable[..., tuple[subprocess.Popen[bytes], int]]


@pytest.fixture
def start(tmp_path: Path) -> Generator[Start]:
    """Starts a parent whose grandchild escapes it; returns the parent, and the grandchild's id."""
    started: list[subprocess.Popen[bytes]] = []
    grandchildren: list[int] = []

    def run(name: str, *, stubborn: bool = False, lives_on: bool = False) -> tuple[subprocess.Popen[bytes], int]:
        code = ESCAPING.format(signals="signal.signal(15, signal.SIG_IGN)" if stubborn else "pass")
        argv = [sys.executable, "-c", PARENT, code, "yes" if lives_on else "", str(tmp_path / name)]
        parent = subprocess.Popen(argv, stdin=subprocess.PIPE)
        grandchild = int(wait_for(tmp_path / name))
        started.append(parent)
        grandchildren.append(grandchild)
        return parent, grandchild

    yield run
    for parent in started:
        parent.kill()
        parent.communicate()
    for pid in filter(is_running, grandchildren):
        os.kill(pid, signal.SIGKILL)


def test_orphan_is_found_and_ended_and_nobody_else(start: Start) -> None:
    killed, orphan = start("orphan")
    stubborn, deaf = start("deaf", stubborn=True)
    _, living = start("living")
    detached, free = start("free", lives_on=True)
    for parent in (killed, stubborn, detached):
        parent.kill()
        parent.wait()
    assert all(map(is_running, (orphan, deaf, living, free))), "the kernel ends children, not their children"

    ended = {found.pid: found.command for found in end_orphans(grace=0.5)}
    assert {orphan, deaf} <= ended.keys()
    assert not {living, free} & ended.keys()
    assert "time.sleep(120)" in ended[orphan]
    wait_until_gone(orphan)
    wait_until_gone(deaf)
    assert is_running(living)
    assert is_running(free)


def test_an_id_that_is_used_again_is_another_process() -> None:
    """The starter's id is alive, and is not the starter."""
    pid = os.getpid()
    assert mark({})[MARK] == identity(pid)
    environment = {**os.environ, MARK: f"{pid}.1"}
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"], env=environment) as child:
        assert child.pid in {found.pid for found in end_orphans(grace=5)}
        assert child.wait() == -signal.SIGTERM


def test_mark_names_the_whole_line(monkeypatch: pytest.MonkeyPatch) -> None:
    own = identity(os.getpid())
    monkeypatch.setenv(MARK, "1.2,3.4")
    assert mark({"A": "b"}) == {"A": "b", MARK: f"1.2,3.4,{own}"}
    monkeypatch.setenv(MARK, f"1.2,{own}")
    assert mark({}) == {MARK: f"1.2,{own}"}
