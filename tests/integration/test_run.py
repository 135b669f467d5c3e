"""One recipe through the public door: `suture run`, again, with one thing changed, and killed again and again."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

SUTURE = [sys.executable, "-m", "suture"]
DETERMINISTIC = {"fetch", "dataset", "merge", "convert", "quantize"}
KILLS = int(os.environ.get("SUTURE_TEST_KILLS", "5"))


def suture(*arguments: str | Path, timeout: float = 1500) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SUTURE, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, check=False
    )


def last_run() -> dict:
    """The record of the newest run."""
    runs = sorted((Path(os.environ["SUTURE_STORE"]) / "runs").glob("*/run.json"))
    return json.loads(runs[-1].read_text())


def digests(steps: set[str]) -> dict[str, list[dict]]:
    """The files of every artifact of these steps, by key."""
    found = {}
    for path in (Path(os.environ["SUTURE_STORE"]) / "artifacts").glob("*/manifest.json"):
        manifest = json.loads(path.read_text())
        if manifest["step"] in steps:
            logs = (".log",)
            found[manifest["key"]] = [file for file in manifest["files"] if not file["path"].endswith(logs)]
    return found


def processes_of_this_test() -> list[str]:
    """Command lines of all processes that inherited this test's store, except this one."""
    mark = f"SUTURE_STORE={os.environ['SUTURE_STORE']}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


def assert_nothing_runs(seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while processes_of_this_test() and time.monotonic() < deadline:
        time.sleep(0.5)
    assert processes_of_this_test() == []


@pytest.mark.timeout(2400)
def test_run_twice_then_change_the_quantization(pico_recipe: Path, tmp_path: Path) -> None:
    first = suture("run", pico_recipe)
    assert first.returncode == 0, first.stdout + first.stderr
    built = last_run()
    assert {step["cached"] for step in built["steps"]} == {False}

    report = json.loads(suture("report", "--json").stdout)
    arms = {arm["name"]: arm for arm in report["arms"]}
    roles = {name: arm["role"] for name, arm in arms.items()}
    assert roles == {"a": "source", "b": "source", "merged": "merged", "healed": "healed", "control": "control"}
    for arm in arms.values():
        assert arm["perplexity"]["value"] > 1
        assert arm["perplexity"]["error"] > 0
        assert arm["size_bytes"] > 0
        assert arm["tokens_per_second"] > 0

    second = suture("run", pico_recipe)
    assert second.returncode == 0, second.stdout + second.stderr
    assert {step["cached"] for step in last_run()["steps"]} == {True}
    assert {step["key"] for step in last_run()["steps"]} == {step["key"] for step in built["steps"]}

    content = yaml.safe_load(pico_recipe.read_text())
    content["gguf"]["quantize"] = ["Q4_K_M"]
    changed = tmp_path / "changed.yaml"
    changed.write_text(yaml.safe_dump(content))
    third = suture("run", changed)
    assert third.returncode == 0, third.stdout + third.stderr
    rebuilt = {step["step"] for step in last_run()["steps"] if not step["cached"]}
    assert rebuilt == {"quantize", "perplexity", "benchmark"}
    assert_nothing_runs()


@pytest.mark.timeout(2400)
def test_killed_again_and_again(pico_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUTURE_STORE", str(tmp_path / "undisturbed"))
    start = time.monotonic()
    result = suture("run", pico_recipe)
    assert result.returncode == 0, result.stdout + result.stderr
    duration = time.monotonic() - start
    expected = digests(DETERMINISTIC)

    monkeypatch.setenv("SUTURE_STORE", str(tmp_path / "killed"))
    moments = random.Random(20261122)
    for _ in range(KILLS):
        child = subprocess.Popen(
            [*SUTURE, "run", str(pico_recipe)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(moments.uniform(0.5, duration))
        child.send_signal(signal.SIGKILL)
        child.wait()
    result = suture("run", pico_recipe)
    assert result.returncode == 0, result.stdout + result.stderr
    assert digests(DETERMINISTIC) == expected
    fsck = suture("store", "fsck")
    assert fsck.returncode == 0, fsck.stdout
    assert_nothing_runs()
