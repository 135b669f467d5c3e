from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from suture.errors import ProcessError
from suture.gguf.runner import environment, run_tool, run_until_told
from suture.process import Completed


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


@pytest.mark.parametrize(
    ("last_words", "runs", "found"),
    [
        ("test $(wc -l <tally) -lt 3 || echo 7", 3, 7),  # the first two runs lose them
        ("true", 3, None),
        ("echo 'PPL = nan'", 1, None),
    ],
)
def test_a_tool_that_ends_without_its_last_words_is_run_again(
    last_words: str, runs: int, found: int | None, tmp_path: Path
) -> None:
    log, tally = tmp_path / "log", tmp_path / "tally"

    def attempt() -> Completed:
        return run_tool(["sh", "-c", f"echo >>tally; {last_words}"], log=log, doing="measuring", cwd=tmp_path)

    def read(output: str) -> int | None:
        return int(output) if output.strip().isdigit() else None

    assert run_until_told(attempt, read, log) == found
    assert len(tally.read_text()) == runs
