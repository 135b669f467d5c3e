from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from suture import process
from suture.bench.sandbox import Program, backend, bubblewrap, landlock, run_program
from suture.bench.sandbox.languages import python as python_runner
from suture.bench.sandbox.launch import launch
from suture.bench.sandbox.task import Confinement
from suture.errors import HostError, ProcessError
from suture.settings import settings
from tests.unit.bench.sandbox.conftest import choose

HELLO = Program("python", {"main.py": "print('hello')"}, "main.py")
CHECKOUT = Path(__file__).parents[4]


@pytest.fixture(autouse=True)
def untried(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:  # noqa: ARG001
    """Nothing has been tried on this machine yet."""
    monkeypatch.setattr(backend, "_tried", {})


def no_bubblewrap(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> None:
    monkeypatch.setattr(bubblewrap, "candidates", lambda: paths)


def test_bubblewrap_comes_first() -> None:
    here = backend.backend()
    assert (here.name, here.refused) == ("bubblewrap", {})
    assert run_program(HELLO).backend == "bubblewrap"


def test_landlock_comes_second(monkeypatch: pytest.MonkeyPatch) -> None:
    no_bubblewrap(monkeypatch, Path("/bin/false"))
    here = backend.backend()
    assert here.name == "landlock"
    assert "/bin/false: A program could not be begun" in here.refused["bubblewrap"]
    assert run_program(HELLO).backend == "landlock"


def test_without_a_sandbox_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    no_bubblewrap(monkeypatch)
    monkeypatch.setattr(landlock, "version", lambda: 0)
    done = run_program(HELLO)
    assert (done.outcome, done.status, done.output, done.backend) == ("no_sandbox", None, "", "")
    assert done.errors == "bubblewrap: not there\nlandlock: not there"


def test_what_does_not_confine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here by a rule that allows everything everywhere."""
    usual = landlock.ruleset

    def lax(known: int, reads: list[Path], folder: Path) -> dict[str, object]:
        return usual(known, [*reads, Path("/")], folder)

    no_bubblewrap(monkeypatch)
    monkeypatch.setattr(landlock, "ruleset", lax)
    assert "a program can read outside" in backend.backend().refused["landlock"]


def test_a_choice_that_does_not_work_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    no_bubblewrap(monkeypatch, Path("/nowhere/bwrap"))
    choose(monkeypatch, "bubblewrap")
    with pytest.raises(HostError, match="cannot be confined by bubblewrap") as caught:
        run_program(HELLO)
    assert "/nowhere/bwrap" in str(caught.value)
    assert "Unset SUTURE_SANDBOX" in str(caught.value)
    choose(monkeypatch, "both")
    with pytest.raises(HostError, match="settings that cannot be"):
        settings()


def test_no_filter_for_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend.seccomp, "supports", lambda: False)
    assert set(backend.backend().refused) == {"bubblewrap", "landlock"}


def test_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Confinement] = []
    usual = backend._flaw
    monkeypatch.setattr(backend, "_flaw", lambda confinement: tried.append(confinement) or usual(confinement))
    threads = [threading.Thread(target=backend.backend) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tried) == 1


def test_no_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert run_program(Program("javascript", {"main.js": ""}, "main.js")).outcome == "no_runner"


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5])
def test_older_landlocks_confine_too(version: int) -> None:
    """What they lack, the filter of system calls does."""
    if landlock.version() < version:
        pytest.skip("optional: needs Landlock, which is the kernel's to give")
    confinement = Confinement("landlock", landlock=version)
    assert backend._flaw(confinement) == ""
    with subprocess.Popen(["sleep", "60"], user=_nobody()) as other:
        code = f"""
import os, signal, sys
for act in (lambda: os.kill({other.pid}, 9), lambda: os.truncate({str(sys.executable)!r}, 0),
            lambda: os.open(os.__file__, os.O_TRUNC), lambda: os.kill(0, 0)):
    try: act()
    except OSError as error: print(type(error).__name__)
    else: print('possible')
"""
        done = launch(Program("python", {"main.py": code}, "main.py"), python_runner(replace(HELLO)), confinement)
        assert done.output.split() == ["PermissionError"] * 3 + ["possible"], done
        assert other.poll() is None
        other.kill()


def _nobody() -> int | None:
    return 65534 if os.geteuid() == 0 else None


def test_ended_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            run_program(Program("python", {"main.py": "import time; time.sleep(60)"}, "main.py"))
        except ProcessError as error:
            errors.append(error)

    backend.backend()
    monkeypatch.setattr(process, "_children", set())
    thread = threading.Thread(target=run)
    thread.start()
    while not process._children:
        time.sleep(0.01)
    time.sleep(0.3)
    process.end_all()
    thread.join()
    assert "ended from outside" in str(errors[0])


# -- as an ordinary user ------------------------------------------------------------------------------------------


@pytest.fixture
def as_nobody(place: Path) -> Callable[[str], str]:
    """Runs Python as a user who is not root, and lets that user to this interpreter and to us."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become someone else")

    def run(code: str) -> str:
        needed = [Path(sys.base_prefix), Path(sys.prefix), CHECKOUT]
        closed = {_closed(path) for path in needed} - {None}
        binds = [path for path in needed if _closed(path)]
        script = ["set -e", f"mkdir {place}/temporary {' '.join(f'{place}/{n}' for n in range(len(binds)))}"]
        script += [f"mount --rbind {path} {place}/{number}" for number, path in enumerate(binds)]
        script += [f"mount -t tmpfs -o mode=755 none {path}" for path in closed]
        script += [f"mkdir -p {path}; mount --rbind {place}/{number} {path}" for number, path in enumerate(binds)]
        script += [f"chmod 1777 {place}/temporary", f"cd {CHECKOUT}", 'exec "$@"']
        become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", code]
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", "\n".join(script), "sh", *become],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.environ["PATH"], "TMPDIR": f"{place}/temporary", "PYTHONDONTWRITEBYTECODE": "1"},
        )
        for number in range(len(binds)):
            (place / str(number)).rmdir()
        (place / "temporary").rmdir()  # empty: nothing was left behind
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def _closed(path: Path) -> Path | None:
    """Return the first folder on the way to a path that only its owner may enter."""
    return next((parent for parent in reversed(path.parents) if not parent.stat().st_mode & stat.S_IXOTH), None)


@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
def test_an_ordinary_user(as_nobody: Callable[[str], str], name: str) -> None:
    code = f"""
import concurrent.futures, os, subprocess
os.environ["SUTURE_SANDBOX"] = {name!r}
from suture.bench.sandbox import Limits, Program, run_program

other = subprocess.Popen(["sleep", "60"])
programs = {{
    "print(6 * 7)": {{}},
    "import os\\nwhile True:\\n try: os.fork()\\n except OSError: pass": {{"seconds": 0.5}},
    "import os\\nfor _ in range(3): os.fork()\\nx = b'x' * 4 * 10**8\\nimport time; time.sleep(9)": {{}},
    "import itertools\\nfor n in itertools.count(): open(str(n), 'w').write('x' * 10**5)": {{"disk": 2**21}},
    f"import os; os.kill({{os.getpid()}}, 9)": {{}},
    f"import os; os.kill({{other.pid}}, 9)": {{}},
    "import os\\nif os.fork(): os._exit(0)\\nos.setsid()\\nimport time; time.sleep(60)": {{}},
    "open('/etc/passwd')": {{}},
    "import socket; socket.socket()": {{}},
}}
for code, limits in programs.items():
    done = run_program(Program("python", {{"main.py": code}}, "main.py", limits=Limits(**limits)))
    last = (done.output or done.errors).strip().rpartition("\\n")[2].partition(":")[0]
    print(done.outcome, *((done.status, last) if done.outcome == "done" else ()))
print(other.poll(), done.backend)
other.kill()
other.wait()
"""
    lines = as_nobody(code).splitlines()
    denied = "FileNotFoundError" if name == "bubblewrap" else "PermissionError"
    signalled = "ProcessLookupError" if name == "bubblewrap" else "PermissionError"
    assert lines == [
        "done 0 42",
        "timeout",
        "memory",
        "output",
        f"done 1 {signalled}",
        f"done 1 {signalled}",
        "done 0 ",
        f"done 1 {denied}",
        "done 1 PermissionError",
        f"None {name}",
    ]
