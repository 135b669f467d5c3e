"""Becomes another program, run as another user if need be, that the kernel kills when its parent dies.

    python -I -S launcher.py PARENT USER PROGRAM [ARGUMENT ...]

PARENT is the id of the process that starts it, USER that of the user, or empty for the same one.

A program of its own, and not a `preexec_fn`: that would make Python fork, and forking while another thread is inside
OpenBLAS can leave both waiting for each other for ever. Without it Python uses vfork, which runs no fork handlers.
"""

import ctypes
import os
import pwd
import signal
import sys

MARK = "SUTURE_STARTED_BY"
"""The variable that names what a process may not outlive (`suture.orphans`)."""

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def become(user: int) -> None:
    """Give up this process's rights for those of a user, who need not be able to read this file."""
    os.setgroups([])
    os.setgid(pwd.getpwuid(user).pw_gid)
    os.setuid(user)


def identity(pid: int) -> str | None:
    """Return a process's id and start time, in clock ticks since the machine's start; None when it has ended."""
    try:
        with open(f"/proc/{pid}/stat", errors="replace") as file:  # noqa: PTH123 -- pathlib would double our time
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else f"{pid}.{fields[19]}"  # proc(5), fields 3 and 22


def main() -> None:
    """Become the program."""
    parent, user, *command = sys.argv[1:]
    if user:
        become(int(user))
    die_with_parent()  # after that: another user's process is not killed for its parent's death otherwise
    if os.getppid() != int(parent):  # it died before the kernel knew
        sys.exit(1)
    if os.environ.get(MARK):  # what the program starts by itself may not outlive it either
        os.environ[MARK] += f",{identity(os.getpid())}"
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main()
