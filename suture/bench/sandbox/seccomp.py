"""The system calls that a confined program may not make, as a program for the kernel's packet filter (BPF).

Everything else is allowed: the sandbox's other walls hold for it. Numbers differ between processors; the tests
compare them with the kernel's headers. The kernel runs the filter on `struct seccomp_data`: the call's number (4
bytes), the processor (4), the caller's address (8), and the six arguments (8 each).
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

_DENIED: Mapping[str, tuple[int | None, int | None]] = MappingProxyType(
    {
        # looks into, or changes, other processes
        "ptrace": (101, 117),
        "process_vm_readv": (310, 270),
        "process_vm_writev": (311, 271),
        "process_madvise": (440, 440),
        "process_mrelease": (448, 448),
        "kcmp": (312, 272),
        "pidfd_getfd": (438, 438),
        "setpriority": (141, 140),
        "ioprio_set": (251, 30),
        "sched_setscheduler": (144, 119),
        "sched_setparam": (142, 118),
        "sched_setattr": (314, 274),
        "sched_setaffinity": (203, 122),
        "migrate_pages": (256, 238),
        "move_pages": (279, 239),
        # changes what the program sees of the machine
        "mount": (165, 40),
        "umount2": (166, 39),
        "pivot_root": (155, 41),
        "chroot": (161, 51),
        "move_mount": (429, 429),
        "open_tree": (428, 428),
        "open_tree_attr": (467, 467),
        "fsopen": (430, 430),
        "fsconfig": (431, 431),
        "fsmount": (432, 432),
        "fspick": (433, 433),
        "mount_setattr": (442, 442),
        "setns": (308, 268),
        "unshare": (272, 97),
        # large and seldom used parts of the kernel, where its holes were found
        "keyctl": (250, 219),
        "add_key": (248, 217),
        "request_key": (249, 218),
        "bpf": (321, 280),
        "perf_event_open": (298, 241),
        "userfaultfd": (323, 282),
        "fanotify_init": (300, 262),
        "inotify_add_watch": (254, 27),
        "open_by_handle_at": (304, 265),
        "name_to_handle_at": (303, 264),
        "personality": (135, 92),
        "iopl": (172, None),
        "ioperm": (173, None),
        "modify_ldt": (154, None),
        # the machine itself
        "swapon": (167, 224),
        "swapoff": (168, 225),
        "kexec_load": (246, 104),
        "kexec_file_load": (320, 294),
        "init_module": (175, 105),
        "finit_module": (313, 273),
        "delete_module": (176, 106),
        "reboot": (169, 142),
        "acct": (163, 89),
        "quotactl": (179, 60),
        "quotactl_fd": (443, 443),
        "syslog": (103, 116),
        "vhangup": (153, 58),
        "settimeofday": (164, 170),
        "clock_settime": (227, 112),
        "clock_adjtime": (305, 266),
        "adjtimex": (159, 171),
        "sethostname": (170, 161),
        "setdomainname": (171, 162),
        # memory that belongs to no process, and so is in nobody's count
        "memfd_create": (319, 279),
        "memfd_secret": (447, 447),
        "shmget": (29, 194),
        "msgget": (68, 186),
        "semget": (64, 190),
        "mq_open": (240, 180),
        # the network, and the sockets of this machine's services
        "socket": (41, 198),
        "connect": (42, 203),
        "bind": (49, 200),
        "listen": (50, 201),
        "accept": (43, 202),
        "accept4": (288, 242),
        # what Landlock lets pass on files of the same user
        "chmod": (90, None),
        "fchmod": (91, 52),
        "fchmodat": (268, 53),
        "fchmodat2": (452, 452),
        "chown": (92, None),
        "fchown": (93, 55),
        "lchown": (94, None),
        "fchownat": (260, 54),
        "setxattr": (188, 5),
        "lsetxattr": (189, 6),
        "fsetxattr": (190, 7),
        "setxattrat": (463, 463),
        "removexattr": (197, 14),
        "lremovexattr": (198, 15),
        "fremovexattr": (199, 16),
        "removexattrat": (466, 466),
        "file_setattr": (469, 469),
        "utime": (132, None),
        "utimes": (235, None),
        "futimesat": (261, None),
        "utimensat": (280, 88),
        "truncate": (76, 45),
    }
)
"""Fail with EPERM. Numbers on x86_64, and on aarch64, which lacks some."""

_MISSING: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "io_uring_setup": (425, 425),
        "io_uring_enter": (426, 426),
        "io_uring_register": (427, 427),
        "clone3": (435, 435),
        "openat2": (437, 437),
    }
)
"""Fail with ENOSYS, so that libraries use the older call, whose arguments a filter can see."""

_SIGNALS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "tkill": (200, 130),
        "tgkill": (234, 131),
        "rt_sigqueueinfo": (129, 138),
        "rt_tgsigqueueinfo": (297, 240),
        "pidfd_send_signal": (424, 424),
    }
)
"""Denied where nothing else keeps signals inside."""

_NEW_NAMESPACE = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET."""
_TRUNCATE_READ_ONLY = 0o1000
"""O_TRUNC beside O_RDONLY: needs no right to write in the eyes of older Landlocks."""
_ACCESS_AND_TRUNCATE = 0o1003
_WORD = 0xFFFFFFFF


@dataclass(frozen=True)
class _Condition:
    """On the low half of an argument: `value & mask` must be among `values`, or, if `denied`, must not."""

    argument: int
    values: tuple[int, ...]
    mask: int = _WORD
    denied: bool = False


_CONDITIONS: Mapping[str, tuple[tuple[int | None, int | None], tuple[_Condition, ...]]] = MappingProxyType(
    {
        "clone": ((56, 220), (_Condition(0, (0,), mask=_NEW_NAMESPACE),)),
        # AF_UNIX and SOCK_STREAM: a pair inside the program, which event loops use; it can reach nothing else.
        "socketpair": ((53, 199), (_Condition(0, (1,)), _Condition(1, (1,), mask=0xF))),
        "prlimit64": ((302, 261), (_Condition(0, (0,)),)),  # its own limits only
        "prctl": (
            (157, 167),
            (_Condition(0, (4,), denied=True),),
        ),  # PR_SET_DUMPABLE would hide it from its supervisor
        # TIOCSTI and TIOCLINUX type into a terminal; FIOSETOWN and SIOCSPGRP send signals, as F_SETOWN, F_SETSIG and
        # F_SETOWN_EX do
        "ioctl": ((16, 29), (_Condition(1, (0x5412, 0x541C, 0x8901, 0x8902), denied=True),)),
        "fcntl": ((72, 25), (_Condition(1, (8, 10, 15), denied=True),)),
        "open": ((2, None), (_Condition(1, (_TRUNCATE_READ_ONLY,), mask=_ACCESS_AND_TRUNCATE, denied=True),)),
        "openat": ((257, 56), (_Condition(2, (_TRUNCATE_READ_ONLY,), mask=_ACCESS_AND_TRUNCATE, denied=True),)),
    }
)
_KILL = ((62, 129), (_Condition(0, (0,)),))
"""To its own process group only, where nothing else keeps signals inside."""

_PROCESSORS: Mapping[str, tuple[int, int]] = MappingProxyType({"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)})
"""Column of the numbers, and what the kernel calls the processor."""

_LOAD, _AND, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_NUMBER, _PROCESSOR, _ARGUMENTS = 0, 4, 16  # offsets
_KILL_PROCESS, _FAIL, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_X32 = 0x40000000  # second numbering of x86_64's calls

_Instruction = tuple[int, int, int, int]
"""Code, instructions to skip if true, and if false, and a value."""


_THIS = platform.machine()


def supports(processor: str = _THIS) -> bool:
    """Return whether there is a filter for a processor."""
    return processor in _PROCESSORS


def bpf(*, keep_signals_inside: bool, processor: str = _THIS) -> bytes:
    """Return the filter.

    Args:
        keep_signals_inside: Whether to deny signals to other processes, by whatever id: none of the program's own can
            then be told apart, so that it can signal its process group only.
        processor: As `uname` names it.
    """
    column, name = _PROCESSORS[processor]
    program: list[_Instruction] = [
        (_LOAD, 0, 0, _PROCESSOR),
        (_IF_EQUAL, 1, 0, name),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
        (_IF_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _FAIL | errno.ENOSYS),
    ]
    denied = {**_DENIED, **(_SIGNALS if keep_signals_inside else {})}
    for code, calls in ((errno.EPERM, denied), (errno.ENOSYS, _MISSING)):
        for numbers in calls.values():
            program += _fail(numbers[column], code)
    conditions = {**_CONDITIONS, **({"kill": _KILL} if keep_signals_inside else {})}
    for numbers, demands in conditions.values():
        program += _demand(numbers[column], demands)
    program.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _fail(number: int | None, code: int) -> Iterator[_Instruction]:
    if number is not None:
        yield _IF_EQUAL, 0, 1, number
        yield _RETURN, 0, 0, _FAIL | code


def _demand(number: int | None, conditions: tuple[_Condition, ...]) -> Iterator[_Instruction]:
    """Yield what lets a call pass if its arguments are as demanded."""
    if number is None:
        return
    body = [instruction for condition in conditions for instruction in _test(condition)]
    yield _IF_EQUAL, 0, len(body) + 1, number
    yield from body
    yield _RETURN, 0, 0, _ALLOW


def _test(condition: _Condition) -> Iterator[_Instruction]:
    yield _LOAD, 0, 0, _ARGUMENTS + 8 * condition.argument
    yield _AND, 0, 0, condition.mask
    fail = (_RETURN, 0, 0, _FAIL | errno.EPERM)
    for left, value in zip(range(len(condition.values), 0, -1), condition.values, strict=True):
        if condition.denied:  # equal: to the failure; the last, unequal: past it
            yield _IF_EQUAL, left - 1, 1 if left == 1 else 0, value
        else:  # equal: past the failure; the last, unequal: to the failure
            yield _IF_EQUAL, left, 0, value
    yield fail
