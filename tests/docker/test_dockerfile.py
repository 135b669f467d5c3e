"""docker/Dockerfile, and what is sent to its build."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "docker" / "Dockerfile"
TARGETS = ("cpu", "gpu")


def lint(text: str) -> str:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, "-"], input=text, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def stages() -> dict[str, list[tuple[str, str]]]:
    """Stage -> (instruction, value) in order, with the FROM first."""
    found: dict[str, list[tuple[str, str]]] = {"": []}
    for row in DockerfileParser(fileobj=io.BytesIO(DOCKERFILE.read_bytes())).structure:
        if row["instruction"] == "FROM":
            found[row["value"].split()[-1]] = []
        if row["instruction"] != "COMMENT":
            found[list(found)[-1]].append((row["instruction"], row["value"]))
    return found


def test_hadolint_finds_nothing_but_what_is_planted() -> None:
    text = DOCKERFILE.read_text()
    assert lint(text) == ""
    assert "DL3002" in lint(f"{text}USER root\n")


def test_every_base_is_an_argument(stages: dict[str, list[tuple[str, str]]]) -> None:
    bases = [rows[0][1].split()[0] for name, rows in stages.items() if name]
    assert set(bases) <= {"${BASE_IMAGE}", *stages}
    assert bases[0] == "${BASE_IMAGE}"
    (default,) = [value for instruction, value in stages[""] if instruction == "ARG"]
    assert re.fullmatch(r"BASE_IMAGE=python:\d+\.\d+\.\d+-slim-\w+", default)


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_nobody_and_says_how_it_is(target: str, stages: dict[str, list[tuple[str, str]]]) -> None:
    values = dict(stages[target])  # the last one of each holds
    assert values["USER"] == "1000:1000"
    assert "deployments.health" in values["HEALTHCHECK"]
    assert values["ENTRYPOINT"] == '["/opt/suture/docker/entrypoint"]'
    written = [value for instruction, value in stages[target] if instruction == "COPY"]
    copied = [value for value in written if "--from" in value]
    assert copied
    assert all("--chown=0:0" in value for value in copied), "builders differ in whose they are otherwise"
    assert not [
        value for value in written if value not in copied and "--chown" in value
    ]  # its code is not its to change


def test_no_secret_can_stay_in_a_layer(stages: dict[str, list[tuple[str, str]]]) -> None:
    rows = [row for stage in stages.values() for row in stage]
    named = [value for instruction, value in rows if instruction in ("ENV", "ARG", "LABEL")]
    assert not [value for value in named if re.search(r"TOKEN|PASSWORD|SECRET|_KEY|INDEX|AUTH", value)]
    installs = [value for instruction, value in rows if instruction == "RUN" and "pip install" in value]
    assert len(installs) == 3
    assert all("--mount=type=secret,id=pip" in value for value in installs)
    assert not [value for _, value in rows if "://" in value]
    assert not [instruction for instruction, _ in rows if instruction == "ADD"]


def test_only_what_is_named_is_sent_to_the_build() -> None:
    lines = (ROOT / "docker" / "Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in lines if not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert not [name for name in let_in if not (ROOT / name).exists()]
    assert {"suture", "tasks", "flows", "deployments", "docker/entrypoint"} <= let_in
    assert not {".", ".env", "docker", ".git"} & let_in
