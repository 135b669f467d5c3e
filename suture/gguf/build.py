"""The managed build of llama.cpp: which flags this machine gets, and how they become binaries."""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from suture.errors import HostError, ProcessError, ToolError
from suture.gguf import sources
from suture.process import run
from suture.progress import Progress
from suture.settings import settings
from suture.store import canonical_json, durable

BINARIES = ("llama-quantize", "llama-server", "llama-perplexity", "llama-imatrix", "llama-bench")
"""What the managed build makes."""

_COMMON_FLAGS = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF",  # it would be downloaded
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_BUILD_NUMBER=1",
    f"-DLLAMA_BUILD_COMMIT=sdist-{sources.SDIST.version}",
    "-DGGML_NATIVE=OFF",  # a cache on a home folder is used from other CPUs as well
)

_X86_FEATURES = {
    "sse4_2": "SSE42", "avx": "AVX", "avx2": "AVX2", "bmi2": "BMI2", "fma": "FMA", "f16c": "F16C",
}  # fmt: skip
"""CPU feature as Linux names it -> option of ggml. All x86 CPUs since 2013 (Haswell, Zen) have these; AVX-512
would bind the cache to fewer machines, and generation waits for memory anyway."""

_MIN_NVCC = (12, 8)
"""The first CUDA that knows Blackwell (sm_120)."""


@dataclass(frozen=True)
class Build:
    """A managed build, finished or not.

    Attributes:
        variant: What sets it apart, for people: `avx2`, `avx2-cuda120`.
        flags: CMake options that determine the binaries.
    """

    variant: str
    flags: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Names its folder: sources, options and targets."""
        identity = canonical_json([sources.SDIST.sha256, list(self.flags), list(BINARIES)])
        return hashlib.sha256(identity.encode()).hexdigest()[:12]

    @property
    def version(self) -> str:
        """Its identity in the keys of steps."""
        return f"sdist-{sources.SDIST.version} {self.variant} {self.digest}"

    def folder(self, cache_folder: Path) -> Path:
        """Return where it lies, or will lie; the folder's existence means complete."""
        return sources.root(cache_folder) / self.digest


def build_for_cpu() -> Build:
    """Return the build for this machine's CPU."""
    return Build(*_cpu_flags(platform.machine(), _cpu_features()))


def build_for_gpu() -> Build | None:
    """Return the CUDA build for this machine's NVIDIA GPUs, or None if there are none."""
    architectures = _gpu_architectures()
    if not architectures:
        return None
    cpu = build_for_cpu()
    flags = ("-DGGML_CUDA=ON", "-DGGML_CUDA_NCCL=OFF", f"-DCMAKE_CUDA_ARCHITECTURES={';'.join(architectures)}")
    return Build(f"{cpu.variant}-cuda{'-'.join(architectures)}", (*cpu.flags, *flags))


def compile_build(build: Build, archive: Path, cache_folder: Path, progress: Progress) -> Path:
    """Build the binaries; the caller holds the lock.

    The work folder outlives an interruption: ninja goes on where its own log says it was. Binaries are copied out of
    it and appear under their name only when all of them are there and run.

    Args:
        build: What to build.
        archive: The sdist.
        cache_folder: The cache.
        progress: Gets ninja's steps.

    Returns:
        The folder with the binaries.
    """
    target = build.folder(cache_folder)
    work = target.with_name(f"{target.name}.work")
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "source").exists():
        progress.say("unpacking llama.cpp's sources")
        sources.unpack_tree(archive, work / "source")
    _run_cmake(build, work, progress)
    _run_ninja(work, progress)
    _keep_binaries(work / "build" / "bin", target)
    durable.remove_tree(work)
    return target


def _run_cmake(build: Build, work: Path, progress: Progress) -> None:
    progress.say("configuring llama.cpp")
    where = (f"-DCMAKE_MAKE_PROGRAM={_build_tool('ninja')}", *_compilers(build))
    command = [_build_tool("cmake"), "-S", work / "source", "-B", work / "build", "-G", "Ninja", *build.flags, *where]
    _run_logged(command, work, "configure", None)


def _run_ninja(work: Path, progress: Progress) -> None:
    def show(line: str) -> None:
        steps = parse_ninja(line)
        if steps is not None:
            progress.update(*steps, "build steps")

    jobs = str(settings().threads)
    _run_logged([_build_tool("ninja"), "-C", work / "build", "-j", jobs, *BINARIES], work, "compile", show)


def _run_logged(command: list[str | Path], work: Path, stage: str, on_line: Callable[[str], None] | None) -> None:
    log = work / f"{stage}.log"
    log.unlink(missing_ok=True)
    try:
        run(command, log=log, doing=f"building llama.cpp ({stage})", on_line=on_line)
    except ProcessError as error:
        raise ToolError(
            "llama.cpp could not be built.",
            where=log,
            found=error.tail,
            way_out=f"The log tells more; remove {work} to begin from scratch. Or point SUTURE_LLAMA_CPP "
            f"to a folder that has {', '.join(BINARIES)}.",
        ) from error


def parse_ninja(line: str) -> tuple[int, int] | None:
    """Return (done, total) from a line of ninja such as `[12/222] Building ...`."""
    match = re.match(r"\[(\d+)/(\d+)\] ", line)
    return None if match is None else (int(match[1]), int(match[2]))


def _keep_binaries(built: Path, target: Path) -> None:
    part = target.with_name(f"{target.name}.part")
    durable.remove_tree(part)
    part.mkdir()
    for name in BINARIES:
        shutil.copy2(built / name, part / name)
        durable.sync_file(part / name)
    output_of([part / "llama-server", "--version"])
    durable.sync_folder(part)
    part.rename(target)
    durable.sync_folder(target.parent)


def output_of(command: list[str | Path]) -> str:
    """Return what a short command writes."""
    with tempfile.TemporaryDirectory() as folder:
        return run(command, log=Path(folder, "log"), doing=f"running {command[0]}", timeout=60).output


def _build_tool(name: str) -> Path:
    """Return cmake or ninja: this environment's own, else the system's, else fetched into the cache."""
    beside = Path(sys.executable).with_name(name)
    if beside.exists():
        return beside
    found = shutil.which(name)
    return Path(found) if found else _fetched_tool(name)


def _fetched_tool(name: str) -> Path:
    folder = sources.root(settings().cache) / "tools"
    candidates = (folder / name / "data" / "bin" / name, folder / "bin" / name)  # cmake's and ninja's wheels
    if not any(path.exists() for path in candidates):
        if settings().offline:
            raise HostError(
                f"{name} is needed to build llama.cpp, but SUTURE_OFFLINE is set.", way_out=f"Install {name}."
            )
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / f"{name}.log"
        run([sys.executable, "-m", "pip", "install", "--target", folder, name], log=log, doing=f"fetching {name}")
    return next(path for path in candidates if path.exists())


def _compilers(build: Build) -> list[str]:
    """Return the options that say where the compilers are, after a look whether there are any."""
    if not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        raise ToolError(
            "llama.cpp cannot be built without a C++ compiler.",
            expected="c++, g++ or clang++ on PATH",
            way_out="Install one (Debian and Ubuntu: `apt install g++`), or point SUTURE_LLAMA_CPP to a folder "
            f"that has {', '.join(BINARIES)}.",
        )
    return [f"-DCMAKE_CUDA_COMPILER={find_nvcc()}"] if "-DGGML_CUDA=ON" in build.flags else []


def find_nvcc() -> Path:
    """Return the CUDA compiler.

    Raises:
        ToolError: When there is none, or it is too old.
    """
    found = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
    wanted = ".".join(map(str, _MIN_NVCC))
    way_out = f"Install the CUDA toolkit {wanted} or newer, or leave out --cuda."
    if found is None:
        raise ToolError(
            "There is no CUDA compiler.", expected="nvcc on PATH or in /usr/local/cuda/bin", way_out=way_out
        )
    version = parse_nvcc(output_of([found, "--version"]))
    if version < _MIN_NVCC:
        raise ToolError(
            "The CUDA compiler is too old.",
            where=found,
            expected=f"release {wanted} or newer",
            found=".".join(map(str, version)),
            way_out=way_out,
        )
    return Path(found)


def parse_nvcc(output: str) -> tuple[int, int]:
    """Return the release that `nvcc --version` tells."""
    match = re.search(r"release (\d+)\.(\d+)", output)
    return (0, 0) if match is None else (int(match[1]), int(match[2]))


def _cpu_features() -> frozenset[str]:
    text = Path("/proc/cpuinfo").read_text()
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return frozenset(line[1].split()) if line else frozenset()


def _cpu_flags(machine: str, features: frozenset[str]) -> tuple[str, tuple[str, ...]]:
    """Return the variant's name and all options for a CPU.

    Args:
        machine: Its architecture, as `platform.machine` names it.
        features: Its features, as /proc/cpuinfo names them.
    """
    if machine == "x86_64":
        on = {option: "ON" if feature in features else "OFF" for feature, option in _X86_FEATURES.items()}
        variant = "avx2" if set(on.values()) == {"ON"} else "x86"
        return variant, (*_COMMON_FLAGS, *(f"-DGGML_{option}={state}" for option, state in on.items()))
    if machine == "aarch64" and {"asimddp", "asimdhp"} <= features:
        return "armv8.2", (*_COMMON_FLAGS, "-DGGML_CPU_ARM_ARCH=armv8.2-a+dotprod+fp16")
    return machine, _COMMON_FLAGS


@cache
def _gpu_architectures() -> tuple[str, ...]:
    """Return the compute capabilities of this machine's NVIDIA GPUs, such as `120`, without repeats."""
    smi = shutil.which("nvidia-smi")
    if smi is None or not Path("/proc/driver/nvidia/version").exists():
        return ()
    output = output_of([smi, "--query-gpu=compute_cap", "--format=csv,noheader"])
    return tuple(sorted({row.strip().replace(".", "") for row in output.splitlines() if row.strip()}, key=int))
