from __future__ import annotations

import errno
import os
import re
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from suture.bench.sandbox import Limits, landlock, seccomp, sql, supervise
from suture.bench.sandbox.verdict import End, verdict

# -- the filter of system calls -----------------------------------------------------------------------------------

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
PROCESSORS = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000
DENY, MISSING = FAIL | errno.EPERM, FAIL | errno.ENOSYS


@pytest.mark.parametrize("processor", list(HEADERS))
def test_numbers_are_those_of_the_kernels_headers(processor: str) -> None:
    if not HEADERS[processor].exists():
        pytest.skip("needs the kernel's headers (linux-libc-dev)")
    text = HEADERS[processor].read_text()
    numbers = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    newest = max(numbers.values())
    column = list(HEADERS).index(processor)
    tables = [seccomp._DENIED, seccomp._MISSING, seccomp._SIGNALS, {"kill": seccomp._KILL[0]}]
    tables.append({name: entry[0] for name, entry in seccomp._CONDITIONS.items()})
    ours = {name: table[name][column] for table in tables for name in table}
    assert len(ours) > 90
    assert {name: number for name, number in ours.items() if number is None or number <= newest} == {
        name: numbers.get(name) for name, number in ours.items() if number is None or number <= newest
    }


def decide(bpf: bytes, number: int, *arguments: int, processor: int) -> int:
    """Run the filter as the kernel does."""
    data = struct.pack("=IIQ6Q", number, processor, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    program = list(struct.iter_unpack("=HBBI", bpf))
    accumulator = at = 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        match code:
            case 0x20:
                accumulator = struct.unpack_from("=I", data, value)[0]
            case 0x54:
                accumulator &= value
            case 0x15:
                at += if_true if accumulator == value else if_false
            case 0x35:
                at += if_true if accumulator >= value else if_false
            case 0x06:
                return value
            case _:
                raise AssertionError(code)


X86_64 = [
    (0, (), ALLOW),  # read
    (59, (), ALLOW),  # execve
    (101, (), DENY),  # ptrace
    (41, (2, 1), DENY),  # socket
    (425, (), MISSING),  # io_uring_setup
    (435, (), MISSING),  # clone3
    (0x40000000, (), MISSING),
    (56, (0x3D0F00,), ALLOW),  # clone: a thread
    (56, (17,), ALLOW),  # clone: a process
    (56, (0x10000011,), DENY),  # clone: with a new user namespace
    (56, (0x40000011,), DENY),  # clone: with a new network
    (53, (1, 1), ALLOW),  # socketpair: a stream
    (53, (1, 0x80801), ALLOW),  # that is closed on exec, and does not block
    (53, (1, 2), DENY),
    (53, (2, 1), DENY),
    (302, (0, 7), ALLOW),  # prlimit64
    (302, (1, 7), DENY),
    (157, (4, 0), DENY),  # prctl
    (157, (15, 0), ALLOW),
    (16, (0, 0x5401), ALLOW),  # ioctl
    *((16, (0, request), DENY) for request in (0x5412, 0x541C, 0x8901, 0x8902)),
    (72, (0, 3), ALLOW),  # fcntl
    *((72, (0, command), DENY) for command in (8, 10, 15)),
    (257, (0, 0, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), ALLOW),  # openat
    (257, (0, 0, os.O_RDONLY), ALLOW),
    (257, (0, 0, os.O_RDONLY | os.O_TRUNC | os.O_CLOEXEC), DENY),
    (2, (0, os.O_TRUNC), DENY),  # open
]


@pytest.mark.parametrize(("number", "arguments", "decision"), X86_64)
def test_decisions(number: int, arguments: tuple[int, ...], decision: int) -> None:
    bpf = seccomp.bpf(keep_signals_inside=False, processor="x86_64")
    assert decide(bpf, number, *arguments, processor=PROCESSORS["x86_64"]) == decision


def test_another_processor_is_not_let_in() -> None:
    bpf = seccomp.bpf(keep_signals_inside=False, processor="x86_64")
    assert decide(bpf, 0, processor=0x40000003) == KILL  # the same one, counting as 32-bit programs do


def test_decisions_on_aarch64() -> None:
    bpf = seccomp.bpf(keep_signals_inside=False, processor="aarch64")
    calls = [(63, (), ALLOW), (117, (), DENY), (198, (), DENY), (220, (0x10000011,), DENY), (220, (17,), ALLOW)]
    for number, arguments, decision in calls:
        assert decide(bpf, number, *arguments, processor=PROCESSORS["aarch64"]) == decision


@pytest.mark.parametrize(("inside", "other"), [(True, DENY), (False, ALLOW)])
def test_signals(inside: bool, other: int) -> None:
    bpf = seccomp.bpf(keep_signals_inside=inside, processor="x86_64")
    processor = PROCESSORS["x86_64"]
    assert decide(bpf, 62, 0, 9, processor=processor) == ALLOW  # kill: its own group
    assert decide(bpf, 62, 1234, 9, processor=processor) == other
    assert decide(bpf, 62, 2**32 - 1, 9, processor=processor) == other  # -1: all
    assert {decide(bpf, number, 1, 1, 9, processor=processor) for number in (200, 234, 129, 297, 424)} == {other}


def test_short_enough_for_the_kernel() -> None:
    assert len(seccomp.bpf(keep_signals_inside=True)) // 8 < 4096
    assert seccomp.supports("aarch64")
    assert not seccomp.supports("riscv64")


# -- Landlock's rules ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "files", "network", "scoped"),
    [(1, 13, 0, 0), (2, 14, 0, 0), (3, 15, 0, 0), (4, 15, 3, 0), (5, 16, 3, 0), (6, 16, 3, 3), (9, 16, 3, 3)],
)
def test_rules_name_what_a_version_knows(version: int, files: int, network: int, scoped: int) -> None:
    rules = landlock.ruleset(version, [Path("/usr/lib")], Path("/work"))
    assert (rules["files"], rules["network"], rules["scoped"]) == (2**files - 1, network, scoped)
    assert rules["rules"]["/usr/lib"] == 0b1101  # type: ignore[index,call-overload]
    assert rules["rules"]["/work"] & ~rules["files"] == 0  # type: ignore[index,call-overload,operator]


# -- the verdict --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "status", "cpu", "written", "errors", "outcome", "result"),
    [
        ("", 0, 0, 0, "", "done", 0),
        ("", 1, 0, 0, "ValueError", "done", 1),
        ("", 200, 0, 0, "", "done", 200),
        ("", 0, 0, 0, "MemoryError", "done", 0),
        ("", 0, 0, 101, "", "output", None),
        ("", 0, 0, 100, "", "done", 0),
        ("timeout", None, 0, 0, "", "timeout", None),
        ("memory", None, 0, 101, "", "memory", None),
        ("output", None, 0, 0, "", "output", None),
        ("", -signal.SIGKILL, 0, 0, "", "killed", None),
        ("", 128 + signal.SIGSEGV, 0, 0, "", "killed", None),
        ("", -signal.SIGXCPU, 0, 0, "", "timeout", None),
        ("", 128 + signal.SIGXCPU, 0, 0, "", "timeout", None),
        ("", 128 + signal.SIGKILL, 10.1, 0, "", "timeout", None),
        ("", -signal.SIGXFSZ, 0, 0, "", "output", None),
        ("", 1, 0, 0, "Traceback ...\nMemoryError\n", "memory", None),
        ("", 134, 0, 0, "FATAL ERROR: Reached heap limit - JavaScript heap out of memory\n", "memory", None),
        ("", 1, 0, 0, "OSError: [Errno 28] No space left on device\n", "output", None),
    ],
)
def test_verdict(
    why: str, status: int | None, cpu: float, written: int, errors: str, outcome: str, result: int | None
) -> None:
    end = End(why, "begins 1.0\n", status, cpu, 1.0)
    assert verdict(end, Limits(output=100), written, errors) == (outcome, result)


def test_what_has_begun() -> None:
    reports = {"": False, "begins 1.5\n": True, "begins 1.5\nfailed no\n": False, "failed no\n": False}
    assert {report: End("", report, 1, 0, 0).begun for report in reports} == reports


# -- the supervisor's eyes ----------------------------------------------------------------------------------------


def test_the_tree_is_seen_with_and_without_the_kernels_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        tree = supervise._tree()
        assert child.pid in tree
        (grandchild,) = supervise._children(child.pid)
        assert tree.index(child.pid) < tree.index(grandchild)
        monkeypatch.setattr(os, "access", lambda *_: False)
        assert set(supervise._tree()) == set(tree)
        assert 2**20 < supervise._memory([child.pid, grandchild], 2**30) < 2**27
        assert 2**20 < supervise._memory([child.pid, grandchild], 0) < 2**27


def test_a_folder_that_cannot_be_measured_counts_as_full(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(10_000))
    (tmp_path / "inner").mkdir()
    assert 10_000 < supervise._used_of_folder(str(tmp_path), 10**6) < 40_000
    deep = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=deep)
        deeper = os.open("d" * 250, os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = deeper
    os.close(deep)
    assert supervise._used_of_folder(str(tmp_path), 10**6) > 10**9
    subprocess.run(["rm", "-rf", tmp_path / ("d" * 250)], check=True)


def test_statements() -> None:
    script = "SELECT ';'; -- a;\nSELECT 2;;\n CREATE TRIGGER t AFTER INSERT ON x BEGIN DELETE FROM x; END; SELECT 3"
    assert [text.strip(" ;\n") for text in sql.statements(script)] == [
        "SELECT ';'",
        "-- a;\nSELECT 2",
        "",
        "CREATE TRIGGER t AFTER INSERT ON x BEGIN DELETE FROM x; END",
        "SELECT 3",
    ]
