"""Each test with both backends, in a temporary folder of its own, and proof that it left nothing behind."""

from __future__ import annotations

import tempfile
import textwrap
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from suture.bench.sandbox import Execution, Limits, Program, run_program
from suture.bench.sandbox.backend import backend
from suture.errors import HostError
from suture.settings import settings

Python = Callable[..., Execution]
"""Runs Python: its source, then limits by name."""


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """A temporary folder that an ordinary user can reach, which pytest's are not, empty again after the test."""
    with tempfile.TemporaryDirectory(prefix="suture-test-") as name:
        place = Path(name)
        place.chmod(0o711)
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield place
        assert list(place.iterdir()) == []


def choose(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("SUTURE_SANDBOX", name)
    settings.cache_clear()


@pytest.fixture(params=["bubblewrap", "landlock"])
def sandbox(request: pytest.FixtureRequest, place: Path, monkeypatch: pytest.MonkeyPatch) -> str:  # noqa: ARG001
    """The backend that confines."""
    choose(monkeypatch, request.param)
    try:
        backend()
    except HostError as error:
        pytest.skip(f"optional: {error}")  # the kernel's to give; whole suites demand that one of the two works
    return request.param


@pytest.fixture
def python(sandbox: str) -> Generator[Python]:
    """Runs Python in the sandbox; after the test shows that runs go on."""

    def run(code: str, *, main: str = "main.py", stdin: str = "", **limits: float) -> Execution:
        limits.setdefault("seconds", 20.0)  # other tests may keep the machine busy
        source = textwrap.dedent(code)
        return run_program(Program("python", {main: source}, main, stdin, Limits(**limits)))  # type: ignore[arg-type]

    yield run
    after = run("print('still here')")
    assert (after.outcome, after.status, after.output, after.backend) == ("done", 0, "still here\n", sandbox)
