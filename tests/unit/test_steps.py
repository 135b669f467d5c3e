from __future__ import annotations

import inspect
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import Field

from suture import steps
from suture.errors import CorruptArtifactError, HostError
from suture.progress import Lines, Progress, Silent
from suture.recipe import Part
from suture.steps import STEPS, Facts, PlannedStep, Step, build, build_all, plan_step
from suture.store import Artifact, Store, Workspace, locks
from suture.store.collect import collect

HEAVY = ("torch", "transformers", "peft", "matplotlib", "statsmodels", "prefect")


class Letters(Part):
    """What the test's step writes."""

    letters: str
    trace: Path = Field(exclude=True)
    """Gets a line when the step begins and ends."""
    wait: float = Field(default=0.0, exclude=True)


def write(spec: Letters, parents: Sequence[Artifact], work: Workspace, progress: Progress) -> Facts:
    before = "".join(parent.only(".txt").read_text() for parent in parents)
    progress.say("writing")
    with spec.trace.open("a") as trace:
        trace.write(f"+{spec.letters}")
    time.sleep(spec.wait)
    (work.out / "letters.txt").write_text(before + spec.letters)
    with spec.trace.open("a") as trace:
        trace.write(f"-{spec.letters}")
    return {"length": len(before + spec.letters)}


@pytest.fixture(autouse=True)
def test_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{write.__module__}:write"
    shared, alone = Step(1, name, "shared"), Step(1, name, "alone")
    monkeypatch.setattr(steps, "STEPS", {**STEPS, "write": shared, "write-alone": alone})


def letters(trace: Path, text: str, *parents: PlannedStep, step: str = "write", wait: float = 0.0) -> PlannedStep:
    return plan_step(f"write {text}", step, Letters(letters=text, trace=trace, wait=wait), parents)


def test_parents_first_and_everything_once(store: Store, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    a = letters(trace, "a")
    b = letters(trace, "b", a)
    c = letters(trace, "c", a, b)
    outcome = build_all(c, store, Silent())
    assert outcome.artifact.only(".txt").read_text() == "aabc"
    assert outcome.artifact.facts == {"length": 4}
    assert trace.read_text() == "+a-a+b-b+c-c"
    again = build_all(c, store, Silent())
    assert again.cached
    assert again.artifact == outcome.artifact
    assert trace.read_text() == "+a-a+b-b+c-c"


def test_the_manifest_tells_where_an_artifact_came_from(store: Store, tmp_path: Path) -> None:
    a = letters(tmp_path / "trace", "a")
    b = letters(tmp_path / "trace", "b", a)
    manifest = build_all(b, store, Silent()).artifact.manifest
    assert (manifest.key, manifest.step, manifest.version, manifest.parents) == (b.key, "write", 1, (a.key,))
    assert manifest.spec == {"letters": "b"}
    assert manifest.host["suture"]
    assert manifest.seconds >= 0


def test_the_key_knows_what_but_not_where(tmp_path: Path) -> None:
    here, there = letters(tmp_path / "here", "a"), letters(tmp_path / "there", "a", wait=1)
    assert here.key == there.key
    assert here.key != letters(tmp_path / "here", "b").key
    assert here.key != letters(tmp_path / "here", "a", here).key
    assert here.key != letters(tmp_path / "here", "a", step="write-alone").key


def test_a_parent_that_is_gone_is_said(store: Store, tmp_path: Path) -> None:
    a = letters(tmp_path / "trace", "a")
    with pytest.raises(CorruptArtifactError, match="'write a'") as caught:
        build(letters(tmp_path / "trace", "b", a), store, Silent())
    assert caught.value.expected == a.key


def test_a_damaged_parent_is_rebuilt_by_the_same_command(store: Store, tmp_path: Path) -> None:
    a = letters(tmp_path / "trace", "a")
    b = letters(tmp_path / "trace", "b", a)
    text = build_all(a, store, Silent()).artifact.only(".txt")
    text.chmod(0o644)
    text.write_text("x")
    with pytest.raises(CorruptArtifactError):
        build(b, store, Silent())
    assert build_all(b, store, Silent()).artifact.only(".txt").read_text() == "ab"


def test_steps_that_need_the_machine_alone_get_it(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Shared steps overlap; the others never do, with anything."""
    trace = tmp_path / "trace"
    names = ["a", "b", "C", "D"]
    planned = [letters(trace, name, step="write-alone" if name.isupper() else "write", wait=0.4) for name in names]
    threads = [threading.Thread(target=build, args=(step, store, Lines("step"))) for step in planned]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = trace.read_text()
    assert "+C-C" in events
    assert "+D-D" in events
    assert sorted(events) == sorted("+a-a+b-b+C-C+D-D")
    assert "waiting for the machine" in capsys.readouterr().err


@pytest.mark.parametrize("awaited", ["the key", "the machine"])
def test_a_run_that_is_to_end_waits_for_no_lock(store: Store, tmp_path: Path, awaited: str) -> None:
    class Ending(Silent):
        def update(self, *_: object) -> None:
            raise KeyboardInterrupt

    planned = letters(tmp_path / "trace", "a")
    with store.in_use():  # makes the folders
        pass
    other = locks.locked(store.machine_lock) if awaited == "the machine" else store.lock(planned.key)
    with other, pytest.raises(KeyboardInterrupt):
        build(planned, store, Ending())
    assert not (tmp_path / "trace").exists()


def test_nothing_is_collected_while_steps_are_built(store: Store, tmp_path: Path) -> None:
    class Collecting(Silent):
        refused = 0

        def say(self, message: str) -> None:
            assert message == "writing"
            with pytest.raises(HostError, match="A run is using the store"):
                collect(store, keep_runs=0, dry_run=False)
            self.refused += 1

    progress = Collecting()
    build_all(letters(tmp_path / "trace", "b", letters(tmp_path / "trace", "a")), store, progress)
    assert progress.refused == 2
    assert len(collect(store, keep_runs=0, dry_run=False).artifacts) == 2


@pytest.mark.parametrize("name", sorted(STEPS))
def test_every_step_can_be_loaded_and_has_the_one_form(name: str) -> None:
    parameters = inspect.signature(STEPS[name].load()).parameters
    assert [parameter.lstrip("_") for parameter in parameters] == ["spec", "parents", "work", "progress"]


def test_planning_loads_nothing_heavy() -> None:
    """The command line answers at once because training and plotting libraries are loaded only where they work."""
    modules = sorted({step.function.partition(":")[0] for step in STEPS.values()})
    code = (
        "import importlib, sys\n"
        f"for name in ['suture.cli', 'suture.plan', 'suture.show', *{modules!r}]: importlib.import_module(name)\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
