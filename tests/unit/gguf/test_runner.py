from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from suture.errors import ProcessError
from suture.gguf.runner import environment, run_tool


def test_variables_that_llama_cpp_takes_for_options_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_ARG_CTX_SIZE", "7")
    monkeypatch.setenv("AIP_HTTP_PORT", "1")
    monkeypatch.setenv("SUTURE_TEST", "kept")
    done = run_tool(
        [sys.executable, "-c", "import os; print(*sorted(os.environ))"], log=tmp_path / "log", doing="listing"
    )
    names = done.output.split()
    assert "SUTURE_TEST" in names
    assert not {"LLAMA_ARG_CTX_SIZE", "AIP_HTTP_PORT"} & set(names)
    assert environment(EXTRA="1")["EXTRA"] == "1"


def test_a_failure_is_a_process_error_with_the_end_of_the_log(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="Failed while trying") as caught:
        run_tool(["sh", "-c", "echo no such luck; exit 3"], log=tmp_path / "log", doing="trying")
    assert caught.value.status == 3
    assert caught.value.tail == "no such luck"


def test_a_tool_that_fills_the_disk_is_told_from_one_that_fails(tmpfs: Callable[[int], Path]) -> None:
    disk = tmpfs(4 * 2**20)
    with pytest.raises(OSError, match="No space left") as caught:
        run_tool(["dd", "if=/dev/zero", f"of={disk}/big", "bs=64k"], log=disk / "log", doing="filling")
    assert caught.value.errno == errno.ENOSPC
