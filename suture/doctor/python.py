"""The interpreter and its packages, against what Suture declares."""

from __future__ import annotations

import platform
import shlex
import sys
from collections.abc import Iterable
from importlib import metadata

from packaging.requirements import Requirement

from suture.doctor.form import Finding, broken, ok, warning

_LOWEST = (3, 11)
_HIGHEST = (3, 13)
"""The newest Python on which the whole set of packages is known to install."""

_SHOWN = 4


def check_python() -> Finding:
    """Compare the interpreter's version with those that are known to work."""
    return judge_python(sys.version_info[:2], platform.python_version())


def judge_python(version: tuple[int, int], full: str) -> Finding:
    """Return what is to be said of a version."""
    wanted = f"{'.'.join(map(str, _LOWEST))} to {'.'.join(map(str, _HIGHEST))}"
    mend = "python3.12 -m venv .venv && .venv/bin/pip install -c constraints.txt -e '.[flows]'"
    if version < _LOWEST:
        return broken(f"Python {full}; {wanted} is needed", mend)
    if version > _HIGHEST:
        return warning(f"Python {full}; {wanted} is tested, and not every package has a build for newer ones", mend)
    return ok(f"Python {full}, {sys.executable}")


def check_packages() -> Finding:
    """Compare the installed packages with the versions that Suture takes."""
    try:
        declared = metadata.requires("suture") or []
    except metadata.PackageNotFoundError:
        return warning(
            "suture itself is not installed, so that nothing says which versions it takes", "pip install -e ."
        )
    return judge_packages(declared, {each.name: each.version for each in metadata.distributions()})


def judge_packages(declared: Iterable[str], installed: dict[str, str]) -> Finding:
    """Return what is to be said of a set of packages.

    Args:
        declared: What Suture needs, as its metadata has it. Of an extra only what is installed must fit.
        installed: Version by name.
    """
    there = {_canonical(name): version for name, version in installed.items()}
    wrong: list[tuple[str, Requirement]] = []
    fitting = 0
    for wanted in map(Requirement, declared):
        version = there.get(_canonical(wanted.name))
        if not _applies(wanted, there):
            continue
        if version is None:
            wrong.append((f"{wanted.name} is missing", wanted))
        elif not wanted.specifier.contains(version, prereleases=True):
            wrong.append((f"{wanted.name} {version} does not fit {wanted.specifier}", wanted))
        else:
            fitting += 1
    if not wrong:
        return ok(f"{fitting} packages fit")
    said = "; ".join(text for text, _ in wrong[:_SHOWN]) + (
        f"; {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    )
    names = " ".join(dict.fromkeys(shlex.quote(f"{wanted.name}{wanted.specifier}") for _, wanted in wrong))
    return broken(said, f"{shlex.quote(sys.executable)} -m pip install {names}")


def _applies(wanted: Requirement, there: dict[str, str]) -> bool:
    """Return whether a requirement holds here: of an extra, where the package is there."""
    if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
        return True
    if "extra" not in str(wanted.marker):
        return False
    if _canonical(wanted.name) in _WITH_PREFECT:  # anybody has these; they matter where Prefect runs
        return "prefect" in there
    return _canonical(wanted.name) in there


_WITH_PREFECT = frozenset({"asyncpg", "fastapi", "sqlalchemy"})
"""Of the extra `flows`: Prefect 3.8 fails with other versions of these."""


def _canonical(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
