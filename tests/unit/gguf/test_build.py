from __future__ import annotations

import dataclasses
import io
import tarfile
from pathlib import Path

import pytest

from suture.errors import ToolError
from suture.gguf import build
from suture.gguf.build import BINARIES, Build
from suture.progress import Silent

HASWELL = frozenset({"sse4_2", "avx", "avx2", "bmi2", "fma", "f16c", "lm"})

CMAKE = """cmake_minimum_required(VERSION 3.14)
project(tiny C)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
foreach(name IN ITEMS BINARIES)
  add_executable(${name} ${name}.c)
endforeach()
""".replace("BINARIES", " ".join(BINARIES))
PROGRAM = '#include <stdio.h>\nint main(void) { puts("version: tiny"); return 0; }\n'
TINY = Build("tiny", ("-DCMAKE_BUILD_TYPE=Release",))


def sdist(path: Path, programs: dict[str, str]) -> Path:
    """Write an sdist whose vendor/llama.cpp builds three programs in a second."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in {"CMakeLists.txt": CMAKE, **programs}.items():
            member = tarfile.TarInfo(f"x-1/vendor/llama.cpp/{name}")
            member.size = len(content.encode())
            tar.addfile(member, io.BytesIO(content.encode()))
    return path


def programs() -> dict[str, str]:
    return {f"{name}.c": PROGRAM for name in BINARIES}


class Recorder(Silent):
    def __init__(self) -> None:
        self.seen: list[tuple[float, float, str]] = []

    def update(self, done: float, total: float, unit: str) -> None:
        self.seen.append((done, total, unit))


class Watch(Silent):
    """Notes when files were written, as long as a build is under way."""

    def __init__(self, folder: Path, pattern: str) -> None:
        self.times: set[int] = set()
        self._files = folder, pattern

    def update(self, done: float, total: float, unit: str) -> None:  # noqa: ARG002 -- only the moment counts
        folder, pattern = self._files
        self.times |= {path.stat().st_mtime_ns for path in folder.rglob(pattern)}


def test_a_build_leaves_the_binaries_alone_under_its_name(tmp_path: Path) -> None:
    progress = Recorder()
    folder = build.compile_build(TINY, sdist(tmp_path / "s.tar.gz", programs()), tmp_path / "cache", progress)
    assert folder == TINY.folder(tmp_path / "cache")
    assert sorted(path.name for path in folder.iterdir()) == sorted(BINARIES)
    assert build.output_of([folder / "llama-server"]) == "version: tiny\n"
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    done, total, unit = progress.seen[-1]
    assert done == total >= len(BINARIES)
    assert unit == "build steps"


def test_a_failed_build_shows_the_compilers_words_and_goes_on_where_it_was(tmp_path: Path) -> None:
    archive, cache = tmp_path / "s.tar.gz", tmp_path / "cache"
    sdist(archive, programs() | {"llama-server.c": "int main(void) { return undeclared; }\n"})
    with pytest.raises(ToolError) as caught:
        build.compile_build(TINY, archive, cache, Silent())
    assert "undeclared" in str(caught.value.found)
    assert not TINY.folder(cache).exists()
    work = TINY.folder(cache).with_name(f"{TINY.digest}.work")
    finished = next(work.rglob("*llama-quantize.c.o")).stat().st_mtime_ns
    (work / "source" / "llama-server.c").write_text(PROGRAM)
    objects = Watch(work, "*llama-quantize.c.o")
    folder = build.compile_build(TINY, archive, cache, objects)
    assert objects.times == {finished}
    assert build.output_of([folder / "llama-server"]) == "version: tiny\n"


def test_binaries_that_do_not_run_are_not_kept(tmp_path: Path) -> None:
    broken = programs() | {"llama-server.c": "int main(void) { return 7; }\n"}
    with pytest.raises(Exception, match="Failed while running"):
        build.compile_build(TINY, sdist(tmp_path / "s.tar.gz", broken), tmp_path / "cache", Silent())
    assert not TINY.folder(tmp_path / "cache").exists()


def test_flags_decide_the_folder_and_the_version() -> None:
    other = dataclasses.replace(TINY, flags=("-DCMAKE_BUILD_TYPE=Debug",))
    assert other.digest != TINY.digest
    assert other.version != TINY.version
    assert TINY.version.startswith("sdist-0.3.36 tiny ")
    assert TINY.digest in TINY.version


def test_a_cpu_gets_the_features_it_has_and_never_native_code() -> None:
    variant, flags = build._cpu_flags("x86_64", HASWELL)
    assert variant == "avx2"
    assert "-DGGML_NATIVE=OFF" in flags
    assert {"-DGGML_AVX2=ON", "-DGGML_FMA=ON", "-DGGML_F16C=ON", "-DGGML_BMI2=ON"} <= set(flags)
    assert build._cpu_flags("x86_64", HASWELL | {"avx512f", "amx_tile"}) == (variant, flags)


def test_an_older_cpu_gets_another_build() -> None:
    variant, flags = build._cpu_flags("x86_64", HASWELL - {"avx2"})
    assert variant == "x86"
    assert {"-DGGML_AVX2=OFF", "-DGGML_AVX=ON"} <= set(flags)
    assert Build(variant, flags).digest != Build(*build._cpu_flags("x86_64", HASWELL)).digest


def test_an_arm_cpu_gets_its_dot_products() -> None:
    assert (
        "-DGGML_CPU_ARM_ARCH=armv8.2-a+dotprod+fp16"
        in build._cpu_flags("aarch64", frozenset({"asimddp", "asimdhp"}))[1]
    )
    assert not any("ARM_ARCH" in flag for flag in build._cpu_flags("aarch64", frozenset({"asimd"}))[1])


def test_a_gpu_build_adds_its_architectures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_gpu_architectures", lambda: ("90", "120"))
    gpu, cpu = build.build_for_gpu(), build.build_for_cpu()
    assert gpu is not None
    assert set(gpu.flags) - set(cpu.flags) == {
        "-DGGML_CUDA=ON",
        "-DGGML_CUDA_NCCL=OFF",
        "-DCMAKE_CUDA_ARCHITECTURES=90;120",
    }
    assert gpu.variant == f"{cpu.variant}-cuda90-120"


def test_ninjas_progress() -> None:
    assert build.parse_ninja("[12/222] Building CXX object a.o") == (12, 222)
    assert build.parse_ninja("ninja: no work to do.") is None


def test_nvccs_release() -> None:
    assert build.parse_nvcc("Cuda compilation tools, release 12.8, V12.8.93\n") == (12, 8)
    assert build.parse_nvcc("Cuda compilation tools, release 13.0, V13.0.1\n") >= build._MIN_NVCC
    assert build.parse_nvcc("no such thing") == (0, 0)


def test_an_old_nvcc_is_refused_with_both_releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvcc = tmp_path / "nvcc"
    nvcc.write_text("#!/bin/sh\necho 'Cuda compilation tools, release 12.4, V12.4.131'\n")
    nvcc.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(ToolError) as caught:
        build.find_nvcc()
    assert (caught.value.expected, caught.value.found) == ("release 12.8 or newer", "12.4")


def test_without_a_compiler_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError) as caught:
        build._compilers(TINY)
    assert "apt install g++" in str(caught.value.way_out)
