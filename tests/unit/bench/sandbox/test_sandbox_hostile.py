"""Programs that mean harm: each ends as expected, harms nothing, and leaves nothing behind."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Generator
from pathlib import Path

import pytest

from suture.bench.sandbox import seccomp
from suture.bench.sandbox.languages import ENVIRONMENT, interpreter_files
from tests.unit.bench.sandbox.conftest import Python


def processes_of(name: str) -> list[int]:
    """Return the processes with a word in their command line."""
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if name.encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
    return found


@pytest.fixture
def main() -> Generator[str]:
    """A name for a program by which its processes are found; none is left after the test."""
    name = f"{uuid.uuid4().hex}.py"
    yield name
    assert processes_of(name) == []


# -- too much -----------------------------------------------------------------------------------------------------


def test_fork_bomb(python: Python, main: str) -> None:
    code = """
        import os
        while True:
            try:
                os.fork()
            except OSError:
                pass
    """
    assert python(code, main=main, seconds=0.5).outcome == "timeout"


def test_no_more_processes_than_allowed(python: Python, main: str) -> None:
    code = """
        import os, time
        count = 1
        try:
            while True:
                if os.fork() == 0:
                    time.sleep(60)
                count += 1
        except OSError:
            print(count)
    """
    done = python(code, main=main, processes=16)
    assert done.outcome == "done"
    extra = 0 if os.geteuid() == 0 else 96
    assert 8 <= int(done.output) <= 16 + extra


def test_threads_count_as_processes(python: Python) -> None:
    code = """
        import threading, time
        for count in range(1, 200):
            try:
                threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
            except RuntimeError:
                break
        print(count)
    """
    done = python(code, processes=16)
    extra = 0 if os.geteuid() == 0 else 96
    assert 8 <= int(done.output) <= 16 + extra


@pytest.mark.parametrize("length", ["10**10", "4 * 10**8"])
def test_one_large_allocation(python: Python, length: str) -> None:
    done = python(f"data = b'x' * ({length}) * 2\nprint(len(data))", memory=256 * 2**20)
    assert (done.outcome, done.status, done.output) == ("memory", None, "")


def test_memory_of_all_processes_counts(python: Python, main: str) -> None:
    code = """
        import os, time
        for _ in range(8):
            if os.fork() == 0:
                data = bytearray(b'x') * (400 * 2**20)
                time.sleep(60)
        time.sleep(60)
    """
    assert python(code, main=main, memory=512 * 2**20).outcome == "memory"


def test_memory_shared_with_children_counts_once(python: Python) -> None:
    code = """
        import os
        data = bytearray(b'x') * (200 * 2**20)
        children = []
        for _ in range(6):
            child = os.fork()
            if child == 0:
                import time; time.sleep(0.4); os._exit(0)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
        print(len(data))
    """
    done = python(code, memory=400 * 2**20)
    assert (done.outcome, done.output) == ("done", f"{200 * 2**20}\n")


def test_shared_mappings_count(python: Python) -> None:
    code = """
        import mmap
        kept = []
        while True:
            kept.append(mmap.mmap(-1, 2**26))
            kept[-1].write(b'x' * 2**26)
    """
    assert python(code, memory=256 * 2**20).outcome == "memory"


def test_endless_loop(python: Python) -> None:
    done = python("print('begun', flush=True)\nwhile True: pass", seconds=0.5)
    assert (done.outcome, done.status, done.output) == ("timeout", None, "begun\n")
    assert done.seconds >= 0.5


def test_cpu_time_cannot_be_ignored(python: Python) -> None:
    code = """
        import resource, signal
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (100, 100))
        except ValueError:
            print('no', flush=True)
        while True: pass
    """
    done = python(code, seconds=20, cpu_seconds=1)
    assert (done.outcome, done.output) == ("timeout", "no\n")


def test_sleep_for_ever(python: Python) -> None:
    code = """
        import signal, time
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        while True: time.sleep(1000)
    """
    assert python(code, seconds=0.5).outcome == "timeout"


def test_one_large_file(python: Python) -> None:
    done = python("open('large', 'wb').write(bytes(2**30 // 4))", memory=2**30)
    assert done.outcome == "output"


def test_many_files(python: Python) -> None:
    code = """
        import itertools
        for number in itertools.count():
            open(f'file{number}', 'wb').write(bytes(2**19))
    """
    assert python(code, disk=2**22).outcome == "output"


def test_many_empty_files(python: Python) -> None:
    code = """
        import itertools
        for number in itertools.count():
            open(f'file{number}', 'wb').close()
    """
    assert python(code, disk=2**22).outcome == "output"


def test_files_without_names(python: Python) -> None:
    code = """
        import mmap, os, time
        kept = []
        for _ in range(64):
            with open('file', 'w+b') as file:
                os.unlink('file')
                file.write(bytes(2**20))
                file.flush()
                kept.append(mmap.mmap(file.fileno(), 2**20) if len(kept) % 2 else os.dup(file.fileno()))
        time.sleep(60)
    """
    assert python(code).outcome == "output"


def test_deep_folders_and_closed_ones(python: Python) -> None:
    code = """
        import os
        os.mkdir('closed', 0)
        for _ in range(1500):
            os.mkdir('deeper')
            os.chdir('deeper')
        print('deep')
    """
    assert python(code).outcome in ("done", "output")  # the second where it was seen while it ran


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_gigabyte_of_output(python: Python, stream: str) -> None:
    done = python(f"import sys\nfor _ in range(1000): sys.{stream}.write('x' * 10**6)")
    assert (done.outcome, done.status) == ("output", None)
    assert len(done.output) == (2**20 if stream == "stdout" else 0)
    assert len(done.errors) <= 4000


def test_output_from_many_processes(python: Python) -> None:
    code = """
        import os
        for _ in range(4): os.fork()
        while True: os.write(1, b'x' * 4096)
    """
    done = python(code)
    assert (done.outcome, len(done.output)) == ("output", 2**20)


# -- what is not its own ------------------------------------------------------------------------------------------


CHECKOUT = Path(__file__).parents[4]
DENIED = {"PermissionError", "FileNotFoundError", "OSError"}
ATTEMPTS = """
import json, os, sys

def attempt(act):
    try:
        return repr(act())
    except Exception as error:
        return type(error).__name__
"""


def test_write_outside(python: Python, place: Path) -> None:
    outside = Path("/var/tmp", f"suture-outside-{uuid.uuid4().hex}")  # noqa: S108
    code = f"""
paths = '{outside} {place}/x /etc/x /usr/lib/x /x /dev/shm/x /dev/x ../x ../../x'.split()
def write(path):
    with open(path, 'w') as file: file.write('x')
print(json.dumps([attempt(lambda: write(path)) for path in paths]))
"""
    done = python(ATTEMPTS + code)
    assert set(json.loads(done.output)) <= DENIED, done.output
    assert not outside.exists()


def test_read_secrets(python: Python, place: Path) -> None:
    secret = place / "secret"
    secret.write_text("a secret")
    secret.chmod(0o644)
    ours = f"{CHECKOUT} {CHECKOUT}/.env {CHECKOUT}/pyproject.toml /proc/{os.getpid()}/environ /proc/{os.getpid()}/mem"
    paths = f"""{secret} {place} ~/.ssh ~/.ssh/id_rsa /root /root/.bashrc /home /etc /etc/passwd /etc/shadow {ours}
        /proc/1/environ /proc/self/environ /proc/self/mountinfo /sys /var /run /tmp /dev/sda /dev/vda /dev/mem"""
    code = f"""
def read(path):
    path = os.path.expanduser(path)
    return os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read()
print(json.dumps({{path: attempt(lambda: read(path)) for path in {paths.split()!r}}}))
"""
    done = python(ATTEMPTS + code)
    secret.unlink()
    found = {path: got for path, got in json.loads(done.output).items() if got not in DENIED}
    bound = [*map(str, interpreter_files()), pytest.__file__, __file__, str(seccomp.__file__)]
    named = {part for path in bound for part in Path(path).parts}
    assert all(got.startswith("[") and set(ast.literal_eval(got)) <= named for got in found.values()), found


def test_environment(python: Python, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "a secret")
    done = python("import os, json; print(json.dumps(dict(os.environ)))")
    names = set(json.loads(done.output))
    assert names <= {"HOME", "TMPDIR", "LC_CTYPE", "PWD", *ENVIRONMENT}


def test_network(python: Python) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        server.settimeout(0.1)
        local.bind("\0suture-test")
        local.listen()
        port = server.getsockname()[1]
        code = f"""
import socket
def unix():
    with socket.socket(socket.AF_UNIX) as client: client.connect('\\0suture-test')
def paired():
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.sendto(b'x', '/dev/log')
print(json.dumps([
    attempt(lambda: socket.create_connection(('127.0.0.1', {port}), timeout=1)),
    attempt(lambda: socket.create_connection(('192.0.2.1', 80), timeout=1)),
    attempt(lambda: socket.create_server(('127.0.0.1', 0))),
    attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)),
    attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port}))),
    attempt(unix), attempt(paired),
    attempt(lambda: socket.getaddrinfo('example.org', 80)),
]))
"""
        done = python(ATTEMPTS + code)
        assert set(json.loads(done.output)) <= {"PermissionError", "OSError", "gaierror"}, done
        with pytest.raises(TimeoutError):
            server.accept()
        with socket.create_connection(("127.0.0.1", port)):  # it does answer
            server.accept()[0].close()


SYSCALLS = {
    "ptrace": (16, os.getpid(), 0, 0),  # PTRACE_ATTACH
    "process_vm_readv": (os.getpid(), 0, 0, 0, 0, 0),
    "setpriority": (0, os.getpid(), 19),
    "unshare": (0x10000000,),  # CLONE_NEWUSER
    "mount": (0, 0, 0, 0),
    "setns": (-1, 0),
    "keyctl": (0, -1, 0),
    "bpf": (0, 0, 0),
    "perf_event_open": (0, 0, -1, -1, 0),
    "userfaultfd": (0,),
    "open_by_handle_at": (-1, 0, 0),
    "memfd_create": (0, 0),
    "shmget": (0, 4096, 0o1600),
    "clone": (0x10000011, 0, 0, 0, 0),
    "prlimit64": (os.getpid(), 7, 0, 0),
    "io_uring_setup": (1, 0),
}


def test_system_calls(python: Python) -> None:
    column = seccomp._PROCESSORS[platform.machine()][0]
    conditional = {name: numbers for name, (numbers, _) in seccomp._CONDITIONS.items()}
    numbers = {**seccomp._DENIED, **seccomp._MISSING, **conditional}
    calls = {name: (numbers[name][column], *arguments) for name, arguments in SYSCALLS.items()}
    code = f"""
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def call(parts):
    return libc.syscall(*map(ctypes.c_long, parts)), errno.errorcode.get(ctypes.get_errno())
print(json.dumps({{name: call(parts) for name, parts in {calls!r}.items()}}))
"""
    done = python(ATTEMPTS + code)
    denied = {name: [-1, "ENOSYS" if name == "io_uring_setup" else "EPERM"] for name in SYSCALLS}
    assert json.loads(done.output) == denied


def test_kill_by_id(python: Python) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        code = f"""
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for process in (-1, 1, os.getppid(), {os.getpid()}, {other.pid}, *range(2, 100)):
    attempt(lambda: os.kill(process, signal.SIGTERM))
print('tried')
"""
        done = python(ATTEMPTS + code)
        assert other.poll() is None
        other.kill()
    assert (done.outcome, done.output) == ("done", "tried\n")


def test_daemon(python: Python, main: str) -> None:
    code = """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for number in range(3):
                    os.close(number)
                time.sleep(60)
            os._exit(0)
        os.wait()
        print('parent ends')
    """
    done = python(code, main=main)
    assert (done.outcome, done.status, done.output) == ("done", 0, "parent ends\n")


def test_daemon_that_keeps_forking(python: Python, main: str) -> None:
    code = """
        import os, time
        if os.fork() == 0:
            os.setsid()
            while True:
                try:
                    if os.fork(): os._exit(0)
                    if os.fork() == 0: time.sleep(0.01)
                except OSError: pass
        time.sleep(0.3)
        print('parent ends')
    """
    assert python(code, main=main).output == "parent ends\n"


def test_links_to_elsewhere(python: Python, place: Path) -> None:
    secret = place / "secret"
    secret.write_text("a secret")
    secret.chmod(0o666)
    code = f"""
def link(target):
    os.symlink(target, 'link')
    try:
        if os.path.isdir('link'): return os.listdir('link')
        return open('link', 'r+').read()
    finally:
        os.unlink('link')
def hard():
    os.link({str(secret)!r}, 'hard')
    return open('hard').read()
paths = {str(secret)!r}, '/etc/passwd', '/proc/self/root/etc/passwd', os.__file__
print(json.dumps([*(attempt(lambda: link(path)) for path in paths), attempt(hard)]))
os.symlink('/etc/passwd', 'left')
os.symlink({str(secret)!r}, 'secret')
os.symlink('/', 'root')
"""
    done = python(ATTEMPTS + code)
    assert set(json.loads(done.output)) <= DENIED, done
    assert secret.read_text() == "a secret"
    assert Path("/etc/passwd").exists()
    secret.unlink()


def test_its_own_interpreter(python: Python) -> None:
    code = """
def write(path):
    open(path, 'r+').close()
targets = [sys.executable, os.__file__, json.__file__, os.path.join(os.path.dirname(os.__file__), 'new.py')]
print(json.dumps([attempt(lambda: write(path)) for path in targets] + [
    attempt(lambda: os.truncate(os.__file__, 0)), attempt(lambda: os.open(os.__file__, os.O_TRUNC)),
    attempt(lambda: os.chmod(os.__file__, 0o777)), attempt(lambda: os.utime(os.__file__)),
    attempt(lambda: os.unlink(os.__file__)), attempt(lambda: os.rename(os.__file__, os.__file__ + 'x')),
]))
"""
    done = python(ATTEMPTS + code)
    assert set(json.loads(done.output)) <= DENIED, done
    assert Path(os.__file__).stat().st_size > 1000


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_death_by_a_signal(python: Python, number: signal.Signals) -> None:
    done = python(f"import os; print('x', flush=True); os.kill(os.getpid(), {int(number)})")
    assert (done.outcome, done.status, done.output) == ("killed", None, "x\n")


# -- us -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("sandbox")
def test_nothing_is_left_when_we_are_killed(place: Path, main: str) -> None:
    """The program has a daemon too."""
    inner = "import os, time; os.fork() or os.setsid(); time.sleep(60)"
    code = f"""
import tempfile
from suture.bench.sandbox import Program, run_program
tempfile.tempdir = {str(place)!r}
run_program(Program('python', {{{main!r}: {inner!r}}}, {main!r}))
"""
    runner = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 20
    while len(processes_of(main)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    while processes_of(main) or list(place.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
