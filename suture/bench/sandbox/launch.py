"""Runs one program in one confinement: makes its folder, starts its supervisor, and tells what came of it."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

from suture.bench.sandbox import supervise
from suture.bench.sandbox.form import Execution, Program
from suture.bench.sandbox.languages import Runner, interpreter
from suture.bench.sandbox.task import Confinement, task
from suture.bench.sandbox.verdict import End, verdict
from suture.errors import HostError, ProcessError
from suture.process import run, start_process, tail

_LAST_ERRORS = 4000  # characters


def launch(program: Program, runner: Runner, confinement: Confinement) -> Execution:
    """Run a program and return what came of it, when nothing of it is left.

    Raises:
        HostError: When it could not be begun.
        ProcessError: When its supervisor was ended from outside.
    """
    with _folder() as folder:
        (folder / "stdin").write_bytes(program.stdin.encode(errors="surrogatepass"))
        (folder / "task").write_text(json.dumps(task(program, runner, confinement, folder)))
        with start_process(
            [interpreter(), "-I", "-S", supervise.__file__, folder / "task"], log=folder / "log", env={}
        ) as supervisor:
            supervisor.wait()
        if supervisor.returncode != 0:
            raise ProcessError(
                "Failed while running a program in the sandbox.",
                status=supervisor.returncode,
                tail=tail(folder / "log"),
            )
        return _execution(program, confinement, folder)


def _execution(program: Program, confinement: Confinement, folder: Path) -> Execution:
    end = End(**json.loads((folder / "log").read_text()))
    errors = _text(folder / "stderr", program.limits.output)[-_LAST_ERRORS:]
    if not end.begun and not end.why:
        raise HostError(
            f"A program could not be begun in the sandbox ({confinement.name}).",
            found=end.report or errors or f"exit status {end.status}",
            way_out="Choose another sandbox with SUTURE_SANDBOX=bubblewrap or landlock.",
        )
    written = max((folder / name).stat().st_size for name in ("stdout", "stderr"))
    outcome, status = verdict(end, program.limits, written, errors)
    return Execution(
        outcome=outcome,
        status=status,
        output=_text(folder / "stdout", program.limits.output),
        errors=errors,
        seconds=end.seconds,
        backend=confinement.name,
    )


def _text(path: Path, limit: int) -> str:
    with path.open("rb") as file:
        return file.read(limit).decode(errors="replace")


@contextlib.contextmanager
def _folder() -> Generator[Path]:
    """Make a run's folder, through which others may go without listing it; remove it, however it was left."""
    folder = Path(tempfile.mkdtemp(prefix="suture-sandbox-"))
    try:
        folder.chmod(0o711)
        yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except (OSError, RecursionError):  # closed to us, or nested deeper than names and Python's calls may go
        log = folder.with_name(f"{folder.name}.log")
        run(["chmod", "--recursive", "u+rwX", folder], log=log, doing="opening a program's folder")
        run(["rm", "--recursive", "--force", folder], log=log, doing="removing a program's folder")
        log.unlink()
