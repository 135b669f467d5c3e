"""llama.cpp's sources: the pinned sdist that carries them, and what is unpacked from it."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO, cast

from suture.packages import Package, fetch_package
from suture.progress import Progress
from suture.store import canonical_json, durable, locks

SDIST = Package(
    name="llama-cpp-python",
    version="0.3.36",
    file="llama_cpp_python-0.3.36.tar.gz",
    sha256="832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e",
)
"""Its `vendor/llama.cpp` is a whole llama.cpp tree (upstream 0c1e57098, MIT)."""

CONVERTER = "convert_hf_to_gguf.py"
"""The converter; it needs the folders `conversion` and `gguf-py` beside it."""

LORA_CONVERTER = "convert_lora_to_gguf.py"
"""That of adapters; it needs the same folders."""

_NOT_BUILT = ("docs", "models", "tests", "benches", "examples", "media")
"""Two thirds of the tree, and of no use to the build."""

_CONVERTS = (CONVERTER, LORA_CONVERTER, "conversion", "gguf-py/gguf", "models/templates", "LICENSE")


def root(cache: Path) -> Path:
    """Return the folder of everything about llama.cpp in the cache."""
    return cache / "llama.cpp"


def converter_folder(cache: Path) -> Path:
    """Return where the pinned converter lies, or will lie; another choice of files lies elsewhere."""
    identity = canonical_json([SDIST.sha256, list(_CONVERTS)])
    return root(cache) / f"converter-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def unpack_converter(cache: Path, progress: Progress) -> Path:
    """Return the folder of the pinned converter, unpacking it at most once; nothing is built."""
    target = converter_folder(cache)
    if target.exists():
        return target
    archive = fetch_package(SDIST)
    root(cache).mkdir(parents=True, exist_ok=True)
    with locks.locked(root(cache) / "converter.lock"):
        if not target.exists():
            progress.say("unpacking llama.cpp's converter")
            unpack(archive, target, only=_CONVERTS)
    return target


def unpack_tree(archive: Path, target: Path) -> None:
    """Unpack what the build needs; a folder of that name exists only when it is complete."""
    unpack(archive, target, without=_NOT_BUILT)


def unpack(archive: Path, target: Path, *, only: Iterable[str] = (), without: Iterable[str] = ()) -> None:
    """Unpack a part of `vendor/llama.cpp` into a new folder that appears when it is complete.

    Args:
        archive: The sdist.
        target: The new folder; the caller holds a lock on it.
        only: Paths to take; all when empty.
        without: Top folders to leave out.
    """
    part = target.with_name(f"{target.name}.part")
    durable.remove_tree(part)
    wanted, unwanted = tuple(only), tuple(without)
    with tarfile.open(archive) as tar:
        for member in tar:
            path = PurePosixPath(*PurePosixPath(member.name).parts[1:])
            if not path.is_relative_to("vendor/llama.cpp"):
                continue
            inner = path.relative_to("vendor/llama.cpp")
            if _is_below(inner, unwanted) or (wanted and not _is_below(inner, wanted)):
                continue
            if member.isfile() and ".." not in inner.parts:
                _extract(tar, member, part / inner)
    part.rename(target)


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    # tarfile's own filters came with Python 3.11.4, and Debian 12 has 3.11.2.
    target.parent.mkdir(parents=True, exist_ok=True)
    with cast("IO[bytes]", tar.extractfile(member)) as content, target.open("wb") as file:
        shutil.copyfileobj(content, file)
    target.chmod(0o755 if member.mode & 0o100 else 0o644)


def _is_below(path: PurePosixPath, folders: tuple[str, ...]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)
