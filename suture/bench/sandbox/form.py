"""What is run in the sandbox, and what came of it; both plain data, so that scorers need not know what ran it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Language = Literal["python", "javascript", "sql"]
"""Run by this Python (isolated), by node, and by SQLite in memory."""

Outcome = Literal[
    "done",  # it ended by itself, whatever its status
    "timeout",  # wall or CPU time ran out
    "memory",  # the whole tree took more than its share
    "output",  # it wrote more than may be written
    "killed",  # ended by a signal that none of our limits sent, or that says nothing of which
    "no_sandbox",  # nothing on this machine can confine it, so it was not run
    "no_runner",  # there is no node here
]
"""How the run of a program ended."""


@dataclass(frozen=True)
class Limits:
    """What a program may use.

    Attributes:
        seconds: Wall time.
        cpu_seconds: CPU time of each process.
        memory: Bytes of memory of all its processes together.
        processes: Processes and threads at one time.
        output: Bytes of stdout, of stderr, and of each file.
        disk: Bytes of all its files together.
    """

    seconds: float = 10.0
    cpu_seconds: int = 10
    memory: int = 512 * 2**20
    processes: int = 64
    output: int = 2**20
    disk: int = 16 * 2**20


@dataclass(frozen=True)
class Program:
    """Files, and which of them is run.

    Attributes:
        language: What runs it. For `sql` the file `main` is a script for SQLite; each SELECT's rows are printed as
            one line of JSON, a list of lists.
        files: Text by file name, laid into an empty working folder.
        main: Name of the file that is run.
        stdin: What it can read.
        limits: What it may use.
    """

    language: Language
    files: Mapping[str, str]
    main: str
    stdin: str = ""
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Execution:
    """What came of running a program.

    Attributes:
        outcome: How it ended.
        status: Its exit status; None where it has none.
        output: What it wrote to stdout, at most the limit.
        errors: The end of what it wrote to stderr; why nothing can confine it, when it was not run.
        seconds: Wall time.
        backend: What confined it: `bubblewrap` or `landlock`; empty when it was not run.
    """

    outcome: Outcome
    status: int | None = None
    output: str = ""
    errors: str = ""
    seconds: float = 0.0
    backend: str = ""
