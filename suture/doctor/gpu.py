"""GPU, driver and torch: whether this torch can use these GPUs, judged before a training finds out.

    GPU ---compute capability---> torch's CUDA (sm_120 needs 12.8; 13 knows none before 7.5)
    driver ---------------------> torch's CUDA (13 needs driver 580)

Sources: NVIDIA's "CUDA Compatibility" and release notes of CUDA 11.8, 12.8 and 13.0.
"""

from __future__ import annotations

import importlib.util
import runpy
import shlex
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from suture.doctor.commands import output_of
from suture.doctor.form import Finding, broken, ok, warning
from suture.errors import ProcessError

_PYTHON = shlex.quote(sys.executable)
_PIP = f"{_PYTHON} -m pip install"
_TORCH = "'torch>=2.11,<2.15'"

_LOWEST_DRIVER = {11: 450, 12: 525, 13: 580}
"""CUDA's major version -> the first driver that runs what it built."""

_LOWEST_CUDA: Sequence[tuple[tuple[int, int], tuple[int, int]]] = (
    ((10, 0), (12, 8)),
    ((8, 9), (11, 8)),
    ((8, 0), (11, 0)),
)
"""Compute capability from -> the first CUDA that builds for it; the highest that applies."""

_DROPPED_BY_13 = (7, 5)
"""CUDA 13 builds for no GPU before this compute capability (Turing)."""

_NVIDIA = "0x10de"


@dataclass(frozen=True)
class Gpu:
    """An NVIDIA GPU.

    Attributes:
        name: As nvidia-smi calls it.
        capability: Compute capability.
        driver: Version of the driver, such as `570.86.15`.
        memory: MiB; None where the driver does not tell, as with memory that is shared with the processor.
    """

    name: str
    capability: tuple[int, int]
    driver: str
    memory: int | None


@dataclass(frozen=True)
class Torch:
    """The installed torch.

    Attributes:
        version: Its version.
        cuda: The CUDA that it was built with; None for a build for processors alone.
        error: Why it cannot use the GPU; empty where it can, or where that was not tried.
    """

    version: str
    cuda: tuple[int, int] | None
    error: str = ""


def check_gpu() -> Finding:
    """Compare GPU, driver and torch."""
    if shutil.which("nvidia-smi") is None:
        return judge_absence(_cards_on_the_bus())
    try:
        gpus = gpus_of_this_machine()
    except ProcessError as error:
        last = error.tail.strip().splitlines()[-1:] or ["no word"]
        return broken(f"nvidia-smi fails: {last[0]}", "sudo modprobe nvidia && nvidia-smi")
    torch = torch_of_this_machine()
    found = judge(gpus, torch)
    return judge(gpus, _tried(torch)) if gpus and found.state == "ok" else found


def judge_absence(cards: int) -> Finding:
    """Return what is to be said where there is no driver, but perhaps a card."""
    if cards:
        return warning(f"{cards} NVIDIA card without a driver: everything runs on the processor", _new_driver(580))
    return ok("no NVIDIA GPU: everything runs on the processor")


def judge(gpus: Sequence[Gpu], torch: Torch) -> Finding:
    """Return what is to be said of GPUs with this torch."""
    if not gpus:
        return ok("a driver but no GPU: everything runs on the processor")
    said = f"{_names(gpus)}, driver {gpus[0].driver}, torch {torch.version}"
    driver = int(gpus[0].driver.partition(".")[0])
    if torch.cuda is None:
        return broken(f"{said}: this torch is built for processors alone", _other_torch(driver, gpus))
    built = f"CUDA {torch.cuda[0]}.{torch.cuda[1]}"
    lowest = _LOWEST_DRIVER.get(torch.cuda[0], max(_LOWEST_DRIVER.values()))
    if driver < lowest:
        return broken(f"{said}: its {built} needs driver {lowest} or newer", _new_driver(lowest))
    misfit = next(filter(None, (_misfit(gpu, torch.cuda) for gpu in gpus)), None)
    if misfit is not None:
        return broken(f"{said} with {built}: {misfit}", _other_torch(driver, gpus))
    if torch.error:
        tell = f"{_PYTHON} -c 'import torch; torch.zeros(1, device=\"cuda\")'"
        return broken(f"{said} with {built}: {torch.error}", tell)
    return ok(f"{said} with {built}")


def _misfit(gpu: Gpu, cuda: tuple[int, int]) -> str | None:
    """Return why what this CUDA builds does not run on a GPU; None where it does."""
    capability = f"{gpu.name} (sm_{gpu.capability[0]}{gpu.capability[1]})"
    wanted = next((first for lowest, first in _LOWEST_CUDA if gpu.capability >= lowest), (10, 0))
    if cuda < wanted:
        return f"{capability} needs CUDA {wanted[0]}.{wanted[1]} or newer"
    if cuda >= (13, 0) and gpu.capability < _DROPPED_BY_13:
        return f"CUDA 13 builds for {capability} no more"
    return None


def check_trainers() -> Finding:
    """Look for bitsandbytes and Unsloth, which only a GPU needs."""
    if shutil.which("nvidia-smi") is None:
        return ok("not needed without a GPU")
    package = importlib.util.find_spec("bitsandbytes")
    builds = (
        sorted(Path(package.origin).parent.glob("libbitsandbytes_cuda*.so")) if package and package.origin else []
    )
    versions = {name: _version(name) for name in ("bitsandbytes", "unsloth")}
    return judge_trainers(
        versions, [path.stem.rpartition("cuda")[2] for path in builds], torch_of_this_machine().cuda
    )


def judge_trainers(versions: dict[str, str], builds: Sequence[str], cuda: tuple[int, int] | None) -> Finding:
    """Return what is to be said of what QLoRA needs.

    Args:
        versions: Of `bitsandbytes` and `unsloth`; empty where it is not installed.
        builds: The CUDAs that bitsandbytes brings a library for, such as `130`.
        cuda: The one that torch was built with.
    """
    said = f"bitsandbytes {versions['bitsandbytes'] or 'missing'}, unsloth {versions['unsloth'] or 'not installed'}"
    renew = f"{_PIP} --upgrade 'bitsandbytes>=0.50,<0.51'"
    if not versions["bitsandbytes"]:
        return broken(f"{said}: `method: qlora` needs bitsandbytes", renew)
    if cuda is not None and f"{cuda[0]}{cuda[1]}" not in builds:
        return broken(f"{said}: bitsandbytes has no library for torch's CUDA {cuda[0]}.{cuda[1]}", renew)
    return ok(said if versions["unsloth"] else f"{said} (only `backend: unsloth` needs it)")


def gpus_of_this_machine() -> list[Gpu]:
    """Return what nvidia-smi lists.

    Raises:
        ProcessError: When it fails, as it does without a driver.
    """
    query = "name,compute_cap,driver_version,memory.total"
    output = output_of("nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits")
    return parse_gpus(output)


def parse_gpus(output: str) -> list[Gpu]:
    """Return the GPUs of nvidia-smi's comma-separated lines."""
    found: list[Gpu] = []
    for line in output.splitlines():
        parts = [part.strip() for part in line.split(",")]
        with suppress(ValueError):
            name, capability, driver, memory = parts
            major, _, minor = capability.partition(".")
            found.append(Gpu(name, (int(major), int(minor)), driver, int(memory) if memory.isdecimal() else None))
    return found


def torch_of_this_machine() -> Torch:
    """Return the installed torch, read from its files: importing it takes seconds."""
    package = importlib.util.find_spec("torch")
    if package is None or package.origin is None:
        return Torch("(not installed)", None)
    told = runpy.run_path(str(Path(package.origin).with_name("version.py")))
    major, _, minor = (told["cuda"] or "").partition(".")
    return Torch(told["__version__"], (int(major), int(minor)) if major else None)


def _tried(torch: Torch) -> Torch:
    """Compute something on the GPU; return what torch says to that."""
    import torch as library

    try:
        library.ones(8, device="cuda").sum().item()
    except RuntimeError as failure:  # no kernel for this GPU, or none visible
        return replace(torch, error=str(failure).splitlines()[0])
    return torch


def _other_torch(driver: int, gpus: Sequence[Gpu]) -> str:
    """Return how to get a torch for these GPUs: pip's usual wheels are built with CUDA 13, which needs driver 580."""
    install = f"{_PIP} --force-reinstall {_TORCH}"
    if min(gpu.capability for gpu in gpus) < _DROPPED_BY_13:
        return "export CUDA_VISIBLE_DEVICES=  # without it; or take a torch built with CUDA 12.6 from pytorch.org"
    return install if driver >= _LOWEST_DRIVER[13] else f"{install} && {_new_driver(_LOWEST_DRIVER[13])}"


def _new_driver(lowest: int) -> str:
    return f"sudo apt install nvidia-driver-{lowest} && sudo reboot"


def _names(gpus: Sequence[Gpu]) -> str:
    memory = gpus[0].memory
    first = f"{gpus[0].name} ({'memory unknown' if memory is None else f'{memory / 1024:.0f} GiB'})"
    return first if len(gpus) == 1 else f"{len(gpus)} GPUs, first {first}"


def _cards_on_the_bus() -> int:
    """Return how many display devices of NVIDIA the kernel sees."""
    count = 0
    for device in Path("/sys/bus/pci/devices").glob("*"):
        with suppress(OSError):
            is_display = (device / "class").read_text().startswith("0x03")
            count += is_display and (device / "vendor").read_text().strip() == _NVIDIA
    return count


def _version(package: str) -> str:
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(package)
    return ""
