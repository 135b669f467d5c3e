"""What runs a program of each language, and what of this machine that may read."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from suture.bench.sandbox import sql
from suture.bench.sandbox.form import Program

_SYSTEM = (
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/share/nodejs",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/etc/alternatives",
)
"""Libraries, and where they lie."""

ENVIRONMENT = MappingProxyType(
    {
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "MALLOC_ARENA_MAX": "2",  # else each thread reserves address space by the 64 MB
        "OPENSSL_CONF": "/dev/null",  # else node wants the system's
        "PATH": "/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "TZ": "UTC",
    }
)
"""A program's whole environment, but for what names its folders."""
_MODULES = ("pytest", "_pytest", "py", "iniconfig", "packaging", "pluggy", "pygments")
"""What of our packages a program may import: pytest, and what that needs."""


@dataclass(frozen=True)
class Runner:
    """What runs a program.

    Attributes:
        command: The program that runs it; None for the Python of a virtual environment of the run's own.
        arguments: What it is given; files of the program are named relative to the working folder.
        reads: Files and folders that it may read.
        packages: Packages in that environment.
        reserves: Bytes of address space that it may reserve beyond the memory that it may use; None where it takes
            so much that a limit would say nothing.
    """

    command: Path | None
    arguments: tuple[str, ...]
    reads: tuple[Path, ...]
    packages: tuple[Path, ...] = ()
    reserves: int | None = 2**31


def runner(program: Program) -> Runner | None:
    """Return what runs a program; None if that is not on this machine."""
    if program.language == "javascript":
        return _node(program)
    return python(program) if program.language == "python" else _sqlite(program)


def python(program: Program) -> Runner:
    """Return what runs a program of Python: the interpreter that runs us.

    In a virtual environment, without our packages or the interpreter's but for pytest: results must not depend on
    what is installed. Not `-I`: that would hide the program's other files and ignore the seed of hashes, and there is
    nothing in its environment to be isolated from.
    """
    packages = _packages()
    return Runner(None, ("-X", "utf8", program.main), (*interpreter_files(), *packages), packages)


def _sqlite(program: Program) -> Runner:
    script = Path(sql.__file__)
    return Runner(interpreter(), ("-I", "-S", str(script), program.main), (*interpreter_files(), script))


def _node(program: Program) -> Runner | None:
    found = shutil.which("node")
    if found is None:
        return None
    node = Path(found).resolve()
    heap = max(64, program.limits.memory * 3 // 4 // 2**20)  # MB; beyond it says so itself, sooner than it is stopped
    arguments = (f"--max-old-space-size={heap}", program.main)
    libraries = node.parent.parent / "lib"
    own = (libraries,) if (libraries / "node_modules").exists() else ()  # a folder of node's, not just anyone's
    return Runner(node, arguments, (*_system(), node, *own), reserves=None)


def interpreter() -> Path:
    """Return the interpreter itself, past the links of virtual environments."""
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def interpreter_files() -> tuple[Path, ...]:
    """Return what the interpreter reads to start."""
    prefix = Path(sys.base_prefix)
    return (*_system(), interpreter(), *_existing(prefix / "lib", prefix / "lib64"))


def _system() -> tuple[Path, ...]:
    return _existing(*map(Path, _SYSTEM))


def _existing(*paths: Path) -> tuple[Path, ...]:
    return tuple(path for path in paths if path.exists())


@cache
def _packages() -> tuple[Path, ...]:
    specs = (find_spec(name) for name in _MODULES)
    origins = (Path(spec.origin) for spec in specs if spec is not None and spec.origin is not None)
    return tuple(origin.parent if origin.name == "__init__.py" else origin for origin in origins)
