from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from suture import settings as settings_module
from suture.errors import ToolError
from suture.gguf import build, sources, toolchain
from suture.gguf.build import BINARIES
from suture.progress import Silent
from suture.settings import Settings

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def no_llama_cpp_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUTURE_LLAMA_CPP", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")
    monkeypatch.setenv("SUTURE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "_gpu_architectures", tuple)
    settings_module.settings.cache_clear()


def settings_with(folder: Path | None = None) -> Settings:
    return Settings(llama_cpp=folder) if folder else Settings()


def managed(write: Write) -> Path:
    return write(build.build_for_cpu().folder(Settings().cache))


def test_nothing_is_found_where_nothing_is() -> None:
    assert toolchain.find(Settings()) is None


@pytest.mark.parametrize("inner", ["", "bin", "build/bin"])
def test_the_folder_may_be_flat_or_a_tree(tmp_path: Path, write_binaries: Write, inner: str) -> None:
    binaries = write_binaries(tmp_path / "llama.cpp" / inner)
    found = toolchain.find(settings_with(tmp_path / "llama.cpp"))
    assert found is not None
    assert (found.origin, found.binaries) == ("folder", binaries)
    assert found.binary("llama-server") == binaries / "llama-server"


def test_the_folder_goes_before_path_and_path_before_the_managed_build(tmp_path: Path, write_binaries: Write) -> None:
    managed(write_binaries)
    assert _origin(None) == "managed"
    write_binaries(tmp_path / "path")
    assert _origin(None) == "path"
    write_binaries(tmp_path / "folder")
    assert _origin(tmp_path / "folder") == "folder"


def _origin(folder: Path | None) -> str:
    found = toolchain.find(settings_with(folder))
    assert found is not None
    return found.origin


@pytest.mark.parametrize("lacking", toolchain.REQUIRED)
def test_a_folder_that_lacks_a_binary_is_refused_by_its_name(
    tmp_path: Path, write_binaries: Write, lacking: str
) -> None:
    folder = write_binaries(tmp_path / "llama.cpp" / "build" / "bin", tuple(set(BINARIES) - {lacking}))
    with pytest.raises(ToolError) as caught:
        toolchain.find(settings_with(tmp_path / "llama.cpp"))
    assert caught.value.found == f"no {lacking}"
    write_binaries(folder, (lacking,))
    (folder / lacking).chmod(0o644)
    with pytest.raises(ToolError, match="incomplete"):
        toolchain.find(settings_with(folder))


def test_a_folder_that_is_not_there_lacks_all(tmp_path: Path) -> None:
    with pytest.raises(ToolError) as caught:
        toolchain.find(settings_with(tmp_path / "none"))
    assert all(name in str(caught.value.found) for name in toolchain.REQUIRED)


@pytest.mark.parametrize("name", sorted(set(BINARIES) - set(toolchain.REQUIRED)))
def test_a_binary_that_few_recipes_need_is_asked_for_where_one_does(
    tmp_path: Path, write_binaries: Write, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    toolchain.require(name)  # nothing is there yet: the managed build will have it
    folder = write_binaries(tmp_path / "llama", toolchain.REQUIRED)
    monkeypatch.setenv("SUTURE_LLAMA_CPP", str(folder))
    settings_module.settings.cache_clear()
    before = toolchain.expected_version()
    with pytest.raises(ToolError, match=f"has no {name}") as caught:
        toolchain.require(name)
    assert caught.value.where == folder
    write_binaries(folder, (name,))
    toolchain.require(name)
    assert toolchain.expected_version() != before


def test_a_path_with_some_of_the_binaries_is_passed_over(tmp_path: Path, write_binaries: Write) -> None:
    write_binaries(tmp_path / "path", ("llama-server",))
    assert toolchain.find(Settings()) is None


def test_the_version_tells_the_release_and_changes_with_any_binary_or_library(
    tmp_path: Path, write_binaries: Write
) -> None:
    folder = write_binaries(tmp_path / "llama")
    seen = {_version(folder)}
    assert next(iter(seen)).startswith("1.2.3 (build 7) ")
    with (folder / "llama-quantize").open("a") as file:
        file.write("# another build\n")
    seen.add(_version(folder))
    (folder / "libggml.so.0.1").write_bytes(b"library")
    (folder / "libggml.so").symlink_to("libggml.so.0.1")
    seen.add(_version(folder))
    (folder / "libggml.so.0.1").write_bytes(b"changed")
    seen.add(_version(folder))
    assert len(seen) == 4
    assert _version(folder) in seen


def test_the_version_does_not_depend_on_the_place(tmp_path: Path, write_binaries: Write) -> None:
    here, there = write_binaries(tmp_path / "here"), write_binaries(tmp_path / "there" / "bin")
    assert _version(here) == _version(there)


def _version(folder: Path) -> str:
    found = toolchain.find(settings_with(folder))
    assert found is not None
    return found.version


def test_a_converter_beside_the_binaries_is_used_and_is_part_of_the_version(
    tmp_path: Path, write_binaries: Write
) -> None:
    tree = tmp_path / "llama.cpp"
    write_binaries(tree / "build" / "bin")
    without = toolchain.find(settings_with(tree))
    assert without is not None
    assert without.converter == sources.converter_folder(Settings().cache)
    assert without.version.endswith(f"converter {sources.SDIST.version}")
    (tree / "gguf-py" / "gguf").mkdir(parents=True)
    (tree / "conversion").mkdir()
    (tree / sources.CONVERTER).write_text("print()\n")
    with_own = toolchain.find(settings_with(tree))
    assert with_own is not None
    assert with_own.converter == tree
    (tree / "conversion" / "llama.py").write_text("x = 1\n")
    assert len({without.version, with_own.version, _version(tree)}) == 3
    assert toolchain.converter_of(with_own, Silent()) == tree / sources.CONVERTER


def test_the_version_is_known_before_the_managed_build_is_there(write_binaries: Write) -> None:
    expected = toolchain.expected_version()
    managed(write_binaries)
    assert toolchain.expected_version() == toolchain.ensure().version == expected


def test_a_build_for_the_gpu_is_preferred_once_it_is_there(
    write_binaries: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    managed(write_binaries)
    monkeypatch.setattr(build, "_gpu_architectures", lambda: ("120",))
    assert "cuda" not in toolchain.expected_version()
    gpu = build.build_for_gpu()
    assert gpu is not None
    write_binaries(gpu.folder(Settings().cache))
    assert "cuda120" in toolchain.expected_version()
    monkeypatch.setattr(build, "_gpu_architectures", tuple)  # the same cache, on a host without a GPU
    assert "cuda" not in toolchain.expected_version()


def test_a_build_for_a_gpu_that_is_not_there_is_refused(tmp_path: Path) -> None:
    nvcc = tmp_path / "path" / "nvcc"
    nvcc.parent.mkdir()
    nvcc.write_text("#!/bin/sh\necho 'Cuda compilation tools, release 13.0, V13.0.1'\n")
    nvcc.chmod(0o755)
    with pytest.raises(ToolError, match="no NVIDIA GPU here"):
        toolchain.install(cuda=True, progress=Silent())


def test_people_see_what_is_used(tmp_path: Path, write_binaries: Write) -> None:
    folder = write_binaries(tmp_path / "llama")
    shown = str(toolchain.find(settings_with(folder)))
    assert f"binaries:  {folder}" in shown
    assert "origin:    folder" in shown
    assert "flags" not in shown
