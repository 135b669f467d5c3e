"""Becomes another program that the kernel kills when the process that started it dies.

    python -I -S launcher.py PARENT PROGRAM [ARGUMENT ...]

A program of its own, and not a `preexec_fn`: that would make Python fork, and forking while another thread is inside
OpenBLAS can leave both waiting for each other for ever. Without it Python uses vfork, which runs no fork handlers.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Become the program."""
    die_with_parent()
    if os.getppid() != int(sys.argv[1]):  # it died before the kernel knew
        sys.exit(1)
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606


if __name__ == "__main__":
    main()
