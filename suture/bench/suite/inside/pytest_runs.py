"""Run a file of tests with pytest against several implementations of a module; report each as a line of JSON.

Each implementation has a process of its own; where a test fails on the first, the others are passed over. What
pytest and the tests print goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import types
from pathlib import Path

import pytest


class Recorder:
    """Counts what the tests came to."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0
        self.first_error = ""

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Take note of what cannot be imported."""
        if report.failed:
            self.first_error = self.first_error or report.longreprtext[-500:]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test; an error in its setup is a failure."""
        self.passed += report.when == "call" and report.passed
        self.failed += report.failed
        if report.failed:
            self.first_error = self.first_error or report.longreprtext[-500:]


def run(folder: Path, module: str, source: str) -> dict[str, object]:
    """Return what the tests say of a module that has this source."""
    implementation = types.ModuleType(module)
    exec(compile(source, f"{module}.py", "exec", dont_inherit=True), implementation.__dict__)  # noqa: S102 -- our own
    sys.modules[module] = implementation
    recorder = Recorder()
    place = ("-c", os.devnull, "--rootdir", str(folder), "--confcutdir", str(folder))
    pytest.main([*place, "-p", "no:cacheprovider", "-s", "-q", str(folder / "test_answer.py")], plugins=[recorder])
    return vars(recorder)


def main() -> None:
    """Do the job that lies beside this file."""
    channel = os.dup(1)
    os.dup2(2, 1)
    sys.dont_write_bytecode = True
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    folder = Path(__file__).resolve().parent
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    for number, source in enumerate(job["implementations"]):
        child = os.fork()
        if child == 0:
            unfit = 1
            try:
                line = run(folder, job["module"], source)
                os.write(channel, f"\n{json.dumps({'implementation': number, **line})}\n".encode())
                unfit = bool(line["first_error"])
            finally:
                os._exit(unfit)
        _, unfit = os.waitpid(child, 0)
        if unfit and number == 0:
            return


if __name__ == "__main__":
    main()
