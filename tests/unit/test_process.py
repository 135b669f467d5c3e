from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from suture import process
from suture.errors import ProcessError
from suture.process import end, end_all, run, start_process, stop, stopping, tail

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def is_running(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_for(path: Path, text: str = "") -> str:
    """Wait until a file has content, and `text` in it."""
    deadline = time.monotonic() + 30
    while not (path.exists() and text in path.read_text() and path.stat().st_size):
        assert time.monotonic() < deadline, f"{path} never held {text!r}"
        time.sleep(0.01)
    return path.read_text()


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 30
    while is_running(pid):
        assert time.monotonic() < deadline, f"process {pid} is still running"
        time.sleep(0.01)


def test_stdout_and_stderr_arrive_in_order(tmp_path: Path) -> None:
    code = "import os; os.write(1, b'one\\n'); os.write(2, b'two\\n'); os.write(1, b'three\\n')"
    done = run(python(code), log=tmp_path / "log", doing="counting")
    assert done.output == "one\ntwo\nthree\n"
    assert done.status == 0
    assert done.argv == tuple(python(code))


def test_no_shell_and_no_stdin(tmp_path: Path) -> None:
    code = "import sys; print(sys.argv[1], repr(sys.stdin.read()))"
    done = run([*python(code), "$HOME; `date`"], log=tmp_path / "log", doing="reading")
    assert done.output == "$HOME; `date` ''\n"


def test_environment_and_folder(tmp_path: Path) -> None:
    code = "import os; print(os.getcwd(), os.environ.get('COLOUR'), 'HOME' in os.environ)"
    done = run(python(code), log=tmp_path / "log", doing="looking", cwd=tmp_path, env={"COLOUR": "red"})
    assert done.output == f"{tmp_path} red False\n"


def test_a_failure_carries_status_log_and_its_last_lines(tmp_path: Path) -> None:
    code = "import sys; [print('line', n) for n in range(100)]; sys.exit(7)"
    with pytest.raises(ProcessError, match="Failed while converting") as caught:
        run(python(code), log=tmp_path / "log", doing="converting")
    assert caught.value.status == 7
    assert caught.value.where == tmp_path / "log"
    assert caught.value.tail.splitlines() == [f"line {n}" for n in range(100 - process.TAIL_LINES, 100)]


def test_death_by_a_signal_is_a_negative_status(tmp_path: Path) -> None:
    with pytest.raises(ProcessError) as caught:
        run(python("import os; os.kill(os.getpid(), 11)"), log=tmp_path / "log", doing="crashing")
    assert caught.value.status == -signal.SIGSEGV


def test_time_out_ends_the_child(tmp_path: Path) -> None:
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    with pytest.raises(ProcessError, match="Time-out while sleeping") as caught:
        run(python(code), log=tmp_path / "log", doing="sleeping", timeout=1.5)
    assert caught.value.status is None
    assert not is_running(int(caught.value.tail))


def test_lines_arrive_while_the_child_runs(tmp_path: Path) -> None:
    """The child goes on only when its first line has been seen."""
    seen: list[str] = []
    go = tmp_path / "go"

    def on_line(line: str) -> None:
        seen.append(line)
        go.touch()

    code = (
        "import pathlib, sys, time; print('first', flush=True)\n"
        "while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)\n"
        "print('last')"
    )
    run([*python(code), go], log=tmp_path / "log", doing="talking", on_line=on_line, timeout=60)
    assert seen == ["first", "last"]


def test_a_carriage_return_ends_a_line_and_the_last_needs_no_end(tmp_path: Path) -> None:
    seen: list[str] = []
    code = "import sys; sys.stdout.write('10 %\\r20 %\\r\\n\\n30 %\\r\\nall done')"
    run(python(code), log=tmp_path / "log", doing="painting", on_line=seen.append)
    assert seen == ["10 %", "20 %", "30 %", "all done"]


def test_lines_of_an_earlier_command_in_the_same_log_are_not_repeated(tmp_path: Path) -> None:
    log = tmp_path / "log"
    seen: list[str] = []
    run(python("print('earlier')"), log=log, doing="beginning")
    run(python("print('later')"), log=log, doing="going on", on_line=seen.append)
    assert seen == ["later"]
    assert log.read_text() == "earlier\nlater\n"


def test_a_line_may_come_in_pieces_that_split_a_character(tmp_path: Path) -> None:
    seen: list[str] = []
    code = "import os, time\nfor byte in '±0.5 ✓\\n'.encode():\n    os.write(1, bytes([byte])); time.sleep(0.1)"
    run(python(code), log=tmp_path / "log", doing="dripping", on_line=seen.append, timeout=60)
    assert seen == ["±0.5 ✓"]


def test_tail_is_bounded_and_reads_progress_bars(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * 100_000 + b"\n" + b"\r".join(b"%d %%" % n for n in range(100)) + b"\n\xff\n")
    assert tail(log, 3) == "98 %\n99 %\n�"
    assert len(tail(log, 10_000)) <= 16_384
    log.write_bytes(b"")
    assert tail(log) == ""


def test_leaving_the_block_ends_the_child(tmp_path: Path) -> None:
    with (
        contextlib.suppress(KeyboardInterrupt),
        start_process(python("import time; time.sleep(60)"), log=tmp_path / "log") as child,
    ):
        assert is_running(child.pid)
        raise KeyboardInterrupt
    assert child.returncode == -signal.SIGTERM


def test_end_escalates_to_sigkill(tmp_path: Path) -> None:
    with start_process(python(STUBBORN), log=tmp_path / "log", grace=0.3) as child:
        wait_for(tmp_path / "log", "ready")
        end(child, grace=0.3)
        assert child.returncode == -signal.SIGKILL
        end(child)  # a second time is nothing


def test_end_all_lets_waiting_callers_go_on(tmp_path: Path) -> None:
    code = "import time; print('ready', flush=True); time.sleep(60)"
    with ThreadPoolExecutor() as threads:
        runs = [threads.submit(run, python(code), log=tmp_path / f"log{n}", doing="waiting") for n in range(3)]
        for n in range(3):
            wait_for(tmp_path / f"log{n}", "ready")
        end_all()
        errors = [future.exception(timeout=30) for future in runs]
    assert [error.status for error in errors if isinstance(error, ProcessError)] == [-signal.SIGTERM] * 3


def test_stop_has_one_grace_for_all_and_lets_none_start(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        logs = [tmp_path / f"log{n}" for n in range(4)]
        children = [stack.enter_context(start_process(python(STUBBORN), log=log)) for log in logs]
        for log in logs:
            wait_for(log, "ready")
        stack.callback(stopping.clear)
        stop(grace=0.3)
        assert [child.returncode for child in children] == [-signal.SIGKILL] * 4
        with pytest.raises(ProcessError, match="the work is to end now"):
            run(python("print('started')"), log=tmp_path / "late", doing="starting late")
    assert not (tmp_path / "late").read_text()


def test_kill_9_of_the_parent_kills_the_child(tmp_path: Path) -> None:
    """The grandchild writes its pid; then its parent, which waits for it in `run`, dies without a word."""
    code = (
        "import pathlib, sys; from suture.process import run\n"
        "grandchild = 'import os, time; print(os.getpid(), flush=True); time.sleep(60)'\n"
        "run([sys.executable, '-c', grandchild], log=pathlib.Path(sys.argv[1]), doing='sleeping')"
    )
    parent = subprocess.Popen([*python(code), str(tmp_path / "log")])
    grandchild = int(wait_for(tmp_path / "log", "\n"))
    assert is_running(grandchild)
    parent.kill()
    parent.wait()
    wait_until_gone(grandchild)


def test_a_killed_parents_run_is_not_held_open_by_its_child(tmp_path: Path) -> None:
    """No pipe of the parent's is inherited: its reader sees the end although a grandchild has outlived it."""
    code = (
        "import pathlib, sys; from suture.process import start_process\n"
        "with start_process(['setsid', 'sleep', '60'], log=pathlib.Path(sys.argv[1])) as child:\n"
        "    print(child.pid, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [*python(code), str(tmp_path / "log")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    assert parent.communicate(timeout=30) == ("", None)
    wait_until_gone(child)


def test_another_user(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    nobody = pwd.getpwnam("nobody")
    log = tmp_path / "log"
    code = "import os; print(os.getuid(), os.getgid(), os.getgroups())"
    with start_process(["/usr/bin/env", "python3", "-c", code], log=log, cwd=Path("/"), user=nobody.pw_uid) as child:
        child.wait()
    assert log.read_text() == f"{nobody.pw_uid} {nobody.pw_gid} []\n"


def test_no_fork_handler_runs(tmp_path: Path) -> None:
    """OpenBLAS's waits for its threads, which wait for the interpreter's lock when another thread multiplies."""
    forks: list[None] = []
    os.register_at_fork(before=lambda: forks.append(None))  # for the rest of the test run, like all of them
    run(["true"], log=tmp_path / "log", doing="nothing")
    assert forks == []
    with warnings.catch_warnings(action="ignore"):  # newer Pythons warn of forks beside threads, with good reason
        subprocess.Popen(["true"], preexec_fn=lambda: None).wait()  # noqa: PLW1509
    assert forks == [None]


def test_a_command_that_is_not_there_is_not_started(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-command"):
        run(["no-such-command"], log=tmp_path / "log", doing="nothing")
