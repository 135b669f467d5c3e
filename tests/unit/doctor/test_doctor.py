"""The other checks, under conditions that are planted for real."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from suture.doctor import CHECKS, Finding, examine
from suture.doctor.form import ok
from suture.doctor.machine import check_folder, check_store, disk_type
from suture.doctor.network import check_hub, check_remote, judge_answer
from suture.doctor.python import check_packages, judge_packages, judge_python
from suture.doctor.tools import check_browser, check_llama_cpp
from suture.errors import HostError
from suture.gguf.build import build_for_cpu
from suture.gguf.toolchain import REQUIRED
from suture.settings import settings
from suture.show.doctor import mends

GB = 10**9


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str | Path], None]:
    def set_(name: str, value: str | Path) -> None:
        monkeypatch.setenv(name, str(value))
        settings.cache_clear()

    return set_


def test_no_check_raises_or_keeps_the_others_waiting() -> None:
    def fails() -> Finding:
        raise ZeroDivisionError("by zero")

    def says_why() -> Finding:
        raise HostError("It cannot be.", found="this", way_out="Start it.")

    def hangs() -> Finding:
        time.sleep(600)
        return ok("never")

    found = examine({"a": lambda: ok("well"), "b": fails, "c": says_why, "d": hangs, "e": lambda: ok("too")}, 1.0)
    assert [(name, each.state) for name, each in found.items()] == [
        ("a", "ok"),
        ("b", "broken"),
        ("c", "broken"),
        ("d", "warning"),
        ("e", "ok"),
    ]
    assert "ZeroDivisionError: by zero" in found["b"].found
    assert found["c"] == Finding(state="broken", found="It cannot be. (this)", mend="# Start it.")
    assert mends(found) == ["# c", "# Start it.", "# d", "suture doctor"]


def test_what_all_find_here() -> None:
    """On the machine of the tests all is well but the hub, which no test asks."""
    found = examine({name: check for name, check in CHECKS.items() if name != "hub"}, 120)
    assert {name for name, each in found.items() if each.state == "broken"} == set(), found
    assert all(each.mend for each in found.values() if each.state != "ok")


@pytest.mark.parametrize(
    ("version", "state"), [((3, 10), "broken"), ((3, 11), "ok"), ((3, 13), "ok"), ((3, 15), "warning")]
)
def test_python(version: tuple[int, int], state: str) -> None:
    assert judge_python(version, ".".join(map(str, version))).state == state


DECLARED = (
    "torch<2.15,>=2.11",
    "tree-sitter-javascript>=0.25",
    'prefect<3.9,>=3.8.8; extra == "flows"',
    'fastapi<0.151; extra == "flows"',
    'unsloth<2026.11,>=2026.10; extra == "gpu"',
    'uvloop>=9; sys_platform == "win32"',
)


@pytest.mark.parametrize(
    ("installed", "said"),
    [
        ({"torch": "2.13.0+cpu", "tree_sitter_javascript": "0.25.0"}, ""),
        ({"torch": "2.13.0", "tree_sitter_javascript": "0.25.0", "fastapi": "0.160.0"}, ""),  # without Prefect
        ({"torch": "2.15.1", "tree_sitter_javascript": "0.25.0"}, "torch 2.15.1 does not fit"),
        ({"torch": "2.13.0"}, "tree-sitter-javascript is missing"),
        ({"torch": "2.13.0", "tree_sitter_javascript": "1", "prefect": "3.9.1"}, "prefect 3.9.1 does not fit"),
        (
            {"torch": "2.13.0", "tree_sitter_javascript": "1", "prefect": "3.8.8", "fastapi": "0.155.0"},
            "fastapi 0.155.0 does not fit <0.151",
        ),
        ({"torch": "2.13.0", "tree_sitter_javascript": "1", "unsloth": "2025.3.1"}, "unsloth 2025.3.1 does not fit"),
    ],
)
def test_packages(installed: dict[str, str], said: str) -> None:
    found = judge_packages(DECLARED, installed)
    assert found.state == ("broken" if said else "ok")
    assert said in found.found
    assert ("-m pip install" in found.mend) == bool(said)


def test_our_own_packages_fit() -> None:
    assert check_packages().state == "ok"


# -- folders ------------------------------------------------------------------------------------------------------


def test_a_folder_that_is_not_there_yet(tmp_path: Path, setting: Callable[..., None]) -> None:
    setting("SUTURE_STORE", tmp_path / "not" / "yet")
    assert check_store().state in ("ok", "warning")  # the machine may have little room
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_a_folder_s_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "not mounted")
    for place in ("file", "file/store", "link", "link/store"):
        found = check_folder("SUTURE_STORE", tmp_path / place, little=0)
        assert (found.state, found.mend) == ("broken", 'export SUTURE_STORE="$HOME/suture-store"'), place


def test_a_full_disk_and_a_small_one(tmpfs: Callable[[int], Path]) -> None:
    folder = tmpfs(1_000_000)
    small = check_folder("SUTURE_STORE", folder, little=GB)
    assert small.state == "warning"
    assert "which is little" in small.found
    assert disk_type(folder) == "tmpfs"
    with pytest.raises(OSError, match="No space"):
        (folder / "everything").write_bytes(b"0" * 2_000_000)
    full = check_folder("SUTURE_STORE", folder, little=GB)
    assert full == Finding(state="broken", found=f"{folder}: the disk is full", mend="suture store gc --keep-runs 3")


def test_a_disk_with_a_space_in_its_name(tmpfs: Callable[..., Path]) -> None:
    assert disk_type(tmpfs(1_000_000, "my disk")) == "tmpfs"


def test_a_folder_that_cannot_be_written(tmpfs: Callable[[int], Path]) -> None:
    folder = tmpfs(1_000_000)
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    found = check_folder("SUTURE_CACHE", folder / "cache", little=0)
    assert found == Finding(
        state="broken",
        found=f"{folder / 'cache'}: Read-only file system",
        mend='export SUTURE_CACHE="$HOME/suture-cache"',
    )


# -- tools --------------------------------------------------------------------------------------------------------


def test_no_llama_cpp_yet(tmp_path: Path, setting: Callable[..., None]) -> None:
    setting("SUTURE_CACHE", tmp_path / "cache")
    assert check_llama_cpp() == Finding(
        state="warning",
        found="not there yet: the first run builds it, in some minutes",
        mend="suture toolchain install",
    )


def test_no_llama_cpp_and_nothing_to_build_it(
    tmp_path: Path, setting: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    setting("SUTURE_CACHE", tmp_path / "cache")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check_llama_cpp().state == "broken"
    assert check_llama_cpp().mend == "sudo apt install g++ && suture toolchain install"


def test_a_llama_cpp_that_does_not_run(
    tmp_path: Path, setting: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    setting("SUTURE_CACHE", tmp_path / "my cache")
    managed = build_for_cpu().folder(settings().cache)
    for folder in (tmp_path, managed):
        folder.mkdir(parents=True, exist_ok=True)
        for name in REQUIRED:
            program = folder / name
            program.write_text("#!/bin/sh\necho libcudart.so.13: cannot open shared object file >&2\nexit 127\n")
            program.chmod(0o755)
    found = examine({"llama.cpp": check_llama_cpp})["llama.cpp"]
    assert found.state == "broken"
    assert "libcudart.so.13" in found.found
    assert found.mend == f"rm -r '{managed}' && suture toolchain install"

    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert check_llama_cpp().mend == f"# take {tmp_path / 'llama-server'} off PATH; then: suture toolchain install"
    setting("SUTURE_LLAMA_CPP", tmp_path)
    assert check_llama_cpp().mend == "unset SUTURE_LLAMA_CPP && suture toolchain install"


def test_a_chromium_that_is_not_there(tmp_path: Path, setting: Callable[..., None]) -> None:
    setting("SUTURE_CHROMIUM", tmp_path / "chromium")
    found = check_browser()
    assert found.state == "broken"
    assert str(tmp_path / "chromium") in found.found
    assert "unset SUTURE_CHROMIUM" in found.mend


# -- remote -------------------------------------------------------------------------------------------------------


def test_a_remote_that_works_and_one_that_does_not(tmp_path: Path, setting: Callable[..., None]) -> None:
    assert examine({"remote": check_remote})["remote"].state == "ok"  # none
    (tmp_path / "shared").mkdir()
    setting("SUTURE_REMOTE", tmp_path / "shared")
    assert check_remote() == ok(f"{tmp_path / 'shared'}: written and read")
    assert list((tmp_path / "shared").rglob("doctor/*")) == []
    setting("SUTURE_REMOTE", tmp_path / "not mounted")
    assert check_remote().mend.startswith(f"mkdir -p '{tmp_path / 'not mounted'}'")
    setting("SUTURE_REMOTE", "ftp://example.invalid/store")
    assert examine({"remote": check_remote})["remote"].state == "broken"


# -- hub ----------------------------------------------------------------------------------------------------------


def test_the_hub_is_away_or_not_to_be_asked(monkeypatch: pytest.MonkeyPatch, setting: Callable[..., None]) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    away = check_hub()  # nobody answers at the address that the tests have
    assert away.state == "warning"
    assert "cannot be reached" in away.found
    assert "hf_secret" not in away.found
    setting("SUTURE_OFFLINE", "1")
    assert check_hub().state == "ok"


def test_a_token_that_the_hub_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    assert judge_answer(401, "no token").state == "ok"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert judge_answer(401, "a token").state == "warning"
    assert judge_answer(200, "a token").state == "ok"
    assert judge_answer(503, "a token").state == "warning"
