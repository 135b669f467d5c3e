"""What can confine a program on this machine: tried once, with a program that tells what it can still do.

bubblewrap   namespaces; a world in which only what is bound exists
landlock     the kernel's rights on files for ordinary users; for where namespaces are denied, as in most containers

Both go together with a filter of system calls, limits of resources, an ordinary user and a supervisor.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from suture.bench.sandbox import bubblewrap, landlock, seccomp
from suture.bench.sandbox.form import Program
from suture.bench.sandbox.languages import python
from suture.bench.sandbox.launch import launch
from suture.bench.sandbox.task import Confinement
from suture.errors import HostError, ProcessError
from suture.settings import settings

_CANARY = """\
import json, socket

def can(act):
    try:
        act()
    except OSError:
        return False
    return True

print(json.dumps({
    "write here": can(lambda: open("here", "w").write("x")),
    "read outside": can(lambda: open(OUTSIDE).read()),
    "write outside": can(lambda: open(OUTSIDE, "a").write("x")),
    "open a socket": can(lambda: socket.socket()),
}))
"""
_MUST = {"write here": True, "read outside": False, "write outside": False, "open a socket": False}


@dataclass(frozen=True)
class Backend:
    """What confines programs on this machine.

    Attributes:
        name: `bubblewrap` or `landlock`; empty where nothing does.
        confinement: How it is used; None where nothing does.
        refused: Why the others are not used, by name.
    """

    name: Literal["bubblewrap", "landlock", ""] = ""
    confinement: Confinement | None = None
    refused: Mapping[str, str] = field(default_factory=dict[str, str])


_lock = threading.Lock()
_tried: dict[str, Confinement | str] = {}
"""By name, what works, or why it does not."""


def backend() -> Backend:
    """Return what confines programs on this machine: the better one that works, or the one that was chosen.

    Raises:
        HostError: When one was chosen (SUTURE_SANDBOX) that does not work here.
    """
    chosen = settings().sandbox
    refused: dict[str, str] = {}
    for name in ("bubblewrap", "landlock"):
        if chosen not in ("auto", name):
            continue
        found = _try(name)
        if isinstance(found, Confinement):
            return Backend(name, found, refused)
        refused[name] = found
    if chosen == "auto":
        return Backend(refused=refused)
    raise HostError(
        f"Programs cannot be confined by {chosen} on this machine.",
        where=f"SUTURE_SANDBOX={chosen}",
        found=refused[chosen],
        way_out="Unset SUTURE_SANDBOX: what works here is then found.",
    )


def _try(name: str) -> Confinement | str:
    """Return what works of a kind, or why nothing does; tried once in each process."""
    with _lock:
        if name not in _tried:
            _tried[name] = _find(name)
        return _tried[name]


def _find(name: str) -> Confinement | str:
    if not seccomp.supports():
        return "there is no filter of system calls for this processor"
    reasons: list[str] = []
    for confinement in _candidates(name):
        flaw = _flaw(confinement)
        if not flaw:
            return confinement
        reasons.append(f"{confinement.bwrap}: {flaw}" if confinement.bwrap else flaw)
    return "; ".join(reasons) or "not there"


def _candidates(name: str) -> Iterator[Confinement]:
    if name == "bubblewrap":
        yield from (Confinement(name, bwrap=path) for path in bubblewrap.candidates())
    elif landlock.version():
        yield Confinement(name, landlock=landlock.version())


def _flaw(confinement: Confinement) -> str:
    """Run the canary; return what is wrong with it, empty if all is as it must be."""
    with tempfile.NamedTemporaryFile("w", prefix="suture-canary-", suffix=".txt") as outside:
        Path(outside.name).chmod(0o666)
        outside.write("outside")
        outside.flush()
        program = Program("python", {"main.py": f"OUTSIDE = {outside.name!r}\n{_CANARY}"}, "main.py")
        try:
            done = launch(program, python(program), confinement)
        except (HostError, ProcessError) as error:
            return f"{error.problem} {error.found}"
    try:
        found = json.loads(done.output)
    except ValueError:
        return f"a program ended so: {done.outcome}, {done.errors}"
    wrong = [f"a program can{'' if found[what] else 'not'} {what}" for what in _MUST if found[what] != _MUST[what]]
    return ", ".join(wrong)
