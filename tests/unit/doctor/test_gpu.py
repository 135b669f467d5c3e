"""Which torch can use which GPU, by a table of machines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from suture.doctor.gpu import (
    Gpu,
    Torch,
    check_gpu,
    judge,
    judge_absence,
    judge_trainers,
    parse_gpus,
    torch_of_this_machine,
)

RTX_5090 = ((12, 0), "NVIDIA GeForce RTX 5090", 32607)
H200 = ((9, 0), "NVIDIA H200", 143771)
RTX_4090 = ((8, 9), "NVIDIA GeForce RTX 4090", 24564)
TITAN_V = ((7, 0), "NVIDIA TITAN V", 12288)

OLD_DRIVER = "sudo apt install nvidia-driver-580"
OTHER_TORCH = "--force-reinstall 'torch"


@pytest.mark.parametrize(
    ("card", "driver", "cuda", "state", "said", "mend"),
    [
        (RTX_5090, "580.95.05", (13, 0), "ok", "CUDA 13.0", ""),
        (RTX_5090, "570.86.15", (12, 8), "ok", "CUDA 12.8", ""),
        (RTX_5090, "580.95.05", (12, 6), "broken", "(sm_120) needs CUDA 12.8 or newer", OTHER_TORCH),
        (RTX_5090, "570.86.15", (12, 6), "broken", "(sm_120) needs CUDA 12.8 or newer", OLD_DRIVER),
        (RTX_5090, "570.86.15", (13, 0), "broken", "its CUDA 13.0 needs driver 580 or newer", OLD_DRIVER),
        (RTX_5090, "580.95.05", None, "broken", "built for processors alone", OTHER_TORCH),
        (H200, "535.104.05", (12, 4), "ok", "CUDA 12.4", ""),
        (H200, "535.104.05", (13, 0), "broken", "needs driver 580", OLD_DRIVER),
        (H200, "580.95.05", (11, 7), "broken", "(sm_90) needs CUDA 11.8 or newer", OTHER_TORCH),
        (RTX_4090, "580.95.05", (14, 0), "ok", "CUDA 14.0", ""),
        (RTX_4090, "470.82.01", (12, 1), "broken", "needs driver 525", "nvidia-driver-525"),
        (TITAN_V, "580.95.05", (12, 6), "ok", "CUDA 12.6", ""),
        (TITAN_V, "580.95.05", (13, 0), "broken", "CUDA 13 builds for NVIDIA TITAN V (sm_70) no more", "CUDA 12.6"),
    ],
)
def test_gpu_driver_and_torch(
    card: tuple[tuple[int, int], str, int],
    driver: str,
    cuda: tuple[int, int] | None,
    state: str,
    said: str,
    mend: str,
) -> None:
    capability, name, memory = card
    found = judge([Gpu(name, capability, driver, memory)], Torch("2.13.0", cuda))
    assert (found.state, bool(found.mend)) == (state, state != "ok")
    assert said in found.found
    assert name in found.found
    assert mend in found.mend


def test_the_worst_of_two_gpus_counts() -> None:
    gpus = [Gpu(name, capability, "580.95.05", memory) for capability, name, memory in (RTX_4090, TITAN_V)]
    assert judge(gpus, Torch("2.13.0", (13, 0))).state == "broken"
    assert judge(gpus[:1], Torch("2.13.0", (13, 0))).state == "ok"


def test_what_torch_says_when_it_is_tried() -> None:
    capability, name, memory = H200
    found = judge([Gpu(name, capability, "580.95.05", memory)], Torch("2.13.0", (13, 0), "no CUDA-capable device"))
    assert found.state == "broken"
    assert "no CUDA-capable device" in found.found


def test_no_gpu_is_fine_and_a_card_without_driver_is_said() -> None:
    assert judge([], Torch("2.13.0", None)).state == "ok"
    assert judge_absence(0).state == "ok"
    assert judge_absence(1).state == "warning"


def test_what_nvidia_smi_writes() -> None:
    output = "NVIDIA H200, 9.0, 580.95.05, 143771\nNVIDIA GeForce RTX 5090, 12.0, 580.95.05, 32607\n"
    assert parse_gpus(output) == [
        Gpu("NVIDIA H200", (9, 0), "580.95.05", 143771),
        Gpu("NVIDIA GeForce RTX 5090", (12, 0), "580.95.05", 32607),
    ]
    assert parse_gpus("No devices were found\n") == []
    (shared,) = parse_gpus("NVIDIA GB10, 12.1, 580.95.05, [N/A]\n")
    assert shared == Gpu("NVIDIA GB10", (12, 1), "580.95.05", None)
    assert "NVIDIA GB10 (memory unknown)" in judge([shared], Torch("2.13.0", (13, 0))).found


@pytest.mark.parametrize(
    ("bitsandbytes", "builds", "state"),
    [("0.50.2", ["128", "130"], "ok"), ("0.50.2", ["126", "128"], "broken"), ("", [], "broken")],
)
def test_bitsandbytes_has_a_library_for_torchs_cuda(bitsandbytes: str, builds: list[str], state: str) -> None:
    assert judge_trainers({"bitsandbytes": bitsandbytes, "unsloth": ""}, builds, (13, 0)).state == state


def test_the_whole_check_with_a_driver_that_is_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The torch of the tests is a build for processors alone, which beside a GPU is a mistake."""
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 'NVIDIA GeForce RTX 5090, 12.0, 570.86.15, 32607'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    torch = torch_of_this_machine()
    assert check_gpu() == judge([Gpu("NVIDIA GeForce RTX 5090", (12, 0), "570.86.15", 32607)], torch)
    assert check_gpu().state == "broken"
    smi.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed: it could not reach the driver.'\nexit 9\n")
    assert "could not reach the driver" in check_gpu().found
    assert check_gpu().state == "broken"


def test_torch_is_known_without_its_import() -> None:
    import torch

    found = torch_of_this_machine()
    assert found.version == torch.__version__
    assert found.cuda == (torch.version.cuda and tuple(map(int, torch.version.cuda.split("."))))
