"""A run in the store whose sources came from the local hub: really fetched and merged; its GGUF is a stand-in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from suture.plan import Plan, report_input, resolve
from suture.progress import Silent
from suture.recipe import parse_recipe
from suture.report.build import build_report
from suture.settings import settings
from suture.steps import PlannedStep, build
from suture.store import Manifest, RunRecord, StepRecord, Store
from suture.store.runs import write_run
from tests.unit.hub import local_hub
from tests.unit.hub.checkpoint_files import checkpoint_files
from tests.unit.hub.local_hub import LocalHub

RUN = "20261129-120000-pico-0000"
STARTED = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUTURE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)  # the local hub speaks LFS
    settings.cache_clear()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """The local hub with two models of one tiny layer, whose weights differ in their last number."""
    with local_hub.serve() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        fill(server)
        yield server


def fill(hub: LocalHub) -> None:
    card = {"README.md": b"---\nlicense: apache-2.0\n---\n# A model\n", "LICENSE": b"Apache License\nVersion 2.0\n"}
    files = checkpoint_files(rows=64) | card
    hub.commit("somebody/a", files)
    hub.commit("somebody/b", {name: _other(name, data) for name, data in files.items()})


def _other(name: str, data: bytes) -> bytes:
    return data[:-4] + b"\x00\x00\x80\x3f" if name.endswith(".safetensors") else data


RECIPE = {
    "name": "pico",
    "description": "Two pico models, averaged.",
    "sources": [{"name": name, "model": f"somebody/{name}"} for name in "ab"],
    "merge": {"method": "linear", "base": "a", "models": [{"source": "a"}, {"source": "b"}]},
    "gguf": {"quantize": ["Q8_0"]},
}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plan]:
    """A store with a completed run, and its plan; no test changes it."""
    root = tmp_path_factory.mktemp("published")
    with pytest.MonkeyPatch.context() as patch, local_hub.serve() as hub:
        patch.setenv("HF_ENDPOINT", hub.endpoint)
        patch.setenv("SUTURE_CACHE", str(root / "cache"))
        settings.cache_clear()
        fill(hub)
        plan = make_run(Store(root / "store"))
    settings.cache_clear()
    return root / "store", plan


@pytest.fixture
def run(made: tuple[Path, Plan], store: Store) -> Plan:
    """The plan of a completed run, whose final model is in the test's store."""
    shutil.copytree(made[0], store.root)
    return made[1]


def make_run(store: Store) -> Plan:
    """Fetch and merge, stand in for the rest, and write record and report; returns the plan."""
    recipe = parse_recipe(RECIPE, where="test", folder=store.root)
    plan = resolve(recipe)
    steps = {step.label: step for step in plan.steps}
    for label in ("fetch somebody/a", "fetch somebody/b", "merge"):
        build(steps[label], store, Silent())
    stand_in(store, steps["convert merged"], {"type": "BF16"})
    stand_in(store, steps["quantize merged Q8_0"], {"type": "Q8_0", "size_bytes": 12})
    measured = {"value": 12.5, "error": 0.25}
    stand_in(store, steps["perplexity merged"], {**measured, "texts": {"builtin:prose": measured}})
    done = [step for step in plan.steps if store.has(step.key)]
    record = RunRecord(
        run=RUN,
        recipe=recipe.model_dump(mode="json"),
        started=STARTED,
        ended=STARTED,
        state="completed",
        keys=tuple(step.key for step in plan.steps),
        steps=tuple(StepRecord(label=s.label, step=s.step, key=s.key, cached=False, seconds=1) for s in done),
    )
    write_run(store, record)
    build_report(store, report_input(plan, record))
    return plan


def stand_in(store: Store, step: PlannedStep, facts: Mapping[str, object]) -> None:
    """Commit an artifact that no tool made."""
    head = Manifest.model_validate(
        {
            "key": step.key,
            "step": step.step,
            "version": 1,
            "spec": step.spec.model_dump(mode="json"),
            "parents": [parent.key for parent in step.parents],
            "tool": step.tool,
            "files": [],
            "facts": facts,
            "host": {"system": "Linux x86_64", "processors": "2", "suture": "0.1.0"},
            "created": STARTED,
            "seconds": 1.0,
        }
    )
    with store.lock(step.key), store.workspace(step.key) as work:
        (work.out / "model.gguf").write_bytes(b"GGUF" + step.key[:8].encode())
        store.commit(work, head)
