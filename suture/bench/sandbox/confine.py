"""Gives up every right that the program is not to have, lays out its files, and becomes it.

    python -I -S confine.py

Reads what to do, as JSON, from file descriptor 3, and says on 4 that the program begins, or what failed. Imports
nothing of ours: inside the sandbox only this file is there.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import struct
import sys
import time
from typing import Any

_TASK, _REPORT = 3, 4
_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 1, 8, 22, 38, 47
_SECCOMP_MODE_FILTER, _PR_CAP_AMBIENT_RAISE = 2, 2
_CAP_DAC_READ_SEARCH = 2
_CAPSET = {"x86_64": 126, "aarch64": 91}
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF, _PATH_BENEATH = 444, 445, 446, 1
_FILE_RIGHTS = 0b1100000000000111
"""Rights that a rule on a file may have: executing, writing, reading, truncating, device ioctl."""

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Become the program."""
    with os.fdopen(_TASK, "rb") as file:
        task = json.load(file)
    os.set_inheritable(_REPORT, False)  # noqa: FBT003 -- it takes no name
    try:
        _enter(task)
        os.write(_REPORT, b"begins %r\n" % time.monotonic())
        os.execve(task["argv"][0], task["argv"], task["environment"])  # noqa: S606
    except OSError as error:
        os.write(_REPORT, f"failed {error}\n".encode())
        sys.exit(1)


def _enter(task: dict[str, Any]) -> None:
    os.chdir(task["cwd"])
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if task["user"] is not None:
        _become(task["user"], keep_search=task["keep_search"])
    _write_files(task["files"])
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if task["landlock"] is not None:
        _apply_landlock(task["landlock"])
    for name, value in task["limits"].items():
        _limit(getattr(resource, name), value)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # Python ignores them, and a program would inherit that
    _apply_seccomp(bytes.fromhex(task["seccomp"]))


def _limit(kind: int, value: int) -> None:
    highest = resource.getrlimit(kind)[1]
    if highest == resource.RLIM_INFINITY or value < highest:
        slack = 1 if kind == resource.RLIMIT_CPU else 0  # the second, from a signal that says why to one that kills
        resource.setrlimit(kind, (value, value + slack))


def _write_files(files: dict[str, str]) -> None:
    for name, text in files.items():
        folder = os.path.dirname(name)  # noqa: PTH120 -- pathlib would double the time to start
        if folder:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        with open(name, "w", encoding="utf-8", errors="surrogatepass", newline="") as file:  # noqa: PTH123
            file.write(text)


def _become(user: int, *, keep_search: bool) -> None:
    """Become an ordinary user.

    Args:
        user: Its id, and its group's.
        keep_search: Whether to keep the right to read all files, for the interpreter lies where only root can go;
            Landlock still allows those only that it was told of.
    """
    if keep_search:
        _prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # forgotten with the change of user
    if keep_search:
        bit = 1 << _CAP_DAC_READ_SEARCH
        header = struct.pack("Ii", 0x20080522, 0)
        _call(_CAPSET[os.uname().machine], header, struct.pack("6I", bit, bit, bit, 0, 0, 0))
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_READ_SEARCH)


def _apply_landlock(ruleset: dict[str, Any]) -> None:
    attributes = struct.pack("QQQ", ruleset["files"], ruleset["network"], ruleset["scoped"])
    size = 24 if ruleset["scoped"] else 16 if ruleset["network"] else 8  # older kernels refuse more
    handle = _call(_CREATE_RULESET, attributes, size, 0)
    for path, rights in ruleset["rules"].items():
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        allowed = rights if os.path.isdir(path) else rights & _FILE_RIGHTS  # noqa: PTH112
        rule = struct.pack("=Qi", allowed & ruleset["files"], place)
        _call(_ADD_RULE, handle, _PATH_BENEATH, rule, 0)
        os.close(place)
    _call(_RESTRICT_SELF, handle, 0)
    os.close(handle)


def _apply_seccomp(bpf: bytes) -> None:
    buffer = ctypes.create_string_buffer(bpf, len(bpf))
    program = struct.pack("@HP", len(bpf) // 8, ctypes.addressof(buffer))
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program)


def _prctl(option: int, *arguments: int | bytes) -> None:
    padded = [*arguments, 0, 0, 0, 0][:4]
    _check(_libc.prctl(option, *(ctypes.c_ulong(part) if isinstance(part, int) else part for part in padded)))


def _call(number: int, *arguments: int | bytes | None) -> int:
    parts = (ctypes.c_long(part) if isinstance(part, int) else part for part in arguments)
    return _check(_libc.syscall(ctypes.c_long(number), *parts))


def _check(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


if __name__ == "__main__":
    main()
