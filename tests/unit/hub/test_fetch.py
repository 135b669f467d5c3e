from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from suture.errors import SourceError, TransientError
from suture.hub.fetch import HubFetch, LocalFetch, fetch
from suture.hub.pins import pin
from suture.progress import Silent
from suture.recipe import Source
from suture.steps import build_all, plan_step
from suture.store import Store, Workspace
from tests.unit.hub.checkpoint_files import FETCHED, REPO, checkpoint_files, write_files
from tests.unit.hub.local_hub import LocalHub

Files = dict[str, bytes]


class Recorder(Silent):
    """Keeps what a step told."""

    def __init__(self) -> None:
        self.updates: list[tuple[float, float, str]] = []

    def update(self, done: float, total: float, unit: str, note: str = "") -> None:
        self.updates.append((done, total, unit))
        self.note = note


def content(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def wanted(model: Files) -> Files:
    return {name: model[name] for name in FETCHED}


def test_a_repository_is_fetched_byte_by_byte(hub: LocalHub, model: Files, work: Workspace) -> None:
    sha = hub.commit(REPO, model)
    hub.commit(REPO, {"README.md": b"a later commit"})
    progress = Recorder()
    facts = fetch(HubFetch(repo=REPO, commit=sha), [], work, progress)
    assert content(work.out) == wanted(model)
    assert facts == {
        "model": REPO,
        "commit": sha,
        "licence": "apache-2.0",
        "tensors": 2,
        "parameters": 40_016 * 8,
        "bytes": 40_016 * 8 * 4,
        "nan": 0,
        "inf": 0,
    }
    total = sum(len(data) for data in wanted(model).values())
    assert (total, total, "bytes") in progress.updates


def test_the_artifact_is_found_again(hub: LocalHub, model: Files, store: Store) -> None:
    hub.commit(REPO, model)
    pinned = pin(Source(name="a", model=REPO))
    planned = plan_step("fetch a", "fetch", pinned.spec, size=pinned.layout.size)
    first = build_all(planned, store, Silent())
    asked = len(hub.requests)
    assert {file.path for file in first.artifact.manifest.files} == FETCHED
    assert build_all(planned, store, Silent()).cached
    assert len(hub.requests) == asked
    assert not any(store.partial.iterdir())


def test_nan_and_infinities_are_counted(tmp_path: Path, work: Workspace) -> None:
    numbers = np.array([np.nan, np.inf, -np.inf, 1.0, -np.nan], np.float32)
    beside = {name: data for name, data in checkpoint_files(rows=1).items() if name.endswith("r.json")}
    files = beside | {
        "config.json": checkpoint_files(rows=1)["config.json"],
        "tokenizer_config.json": b"{}",
        "model.safetensors": save({"model.layers.0.a": numbers}),
    }
    pinned = pin(Source(name="a", model=str(write_files(tmp_path / "model", files))))
    facts = fetch(pinned.spec, [], work, Silent())
    assert (facts["nan"], facts["inf"]) == (2, 2)


def test_what_an_earlier_attempt_left_is_checked_and_used(hub: LocalHub, model: Files, work: Workspace) -> None:
    sha = hub.commit(REPO, model)
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    (work.scratch / "checkpoint").mkdir()
    (work.scratch / "checkpoint" / first).write_bytes(model[first])  # finished
    (work.scratch / "checkpoint" / second).write_bytes(bytes(len(model[second])))  # of the right size, but damaged
    pin(Source(name="a", model=REPO))
    hub.requests.clear()
    fetch(HubFetch(repo=REPO, commit=sha), [], work, Silent())
    assert content(work.out) == wanted(model)
    assert hub.asked("hub", first) == []
    assert len(hub.asked("hub", second)) == 1


def test_a_corrupting_hub_is_refused_and_what_was_right_is_kept(hub: LocalHub, model: Files, work: Workspace) -> None:
    sha = hub.commit(REPO, model)
    pin(Source(name="a", model=REPO))
    hub.faults.corrupt = True
    with pytest.raises(SourceError, match="other bytes than it lists"):
        fetch(HubFetch(repo=REPO, commit=sha), [], work, Silent())
    assert content(work.out) == {}
    found = content(work.scratch / "checkpoint").items()
    kept = {name: data for name, data in found if not name.endswith(".part")}
    assert kept, "which of the small files were there before the first wrong one is the network's to decide"
    assert all(data == model[name] for name, data in kept.items())
    assert not {name for name in kept if name.endswith(".safetensors")}


def test_a_hub_that_goes_away_is_worth_another_try(
    hub: LocalHub, model: Files, work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    sha = hub.commit(REPO, model)
    pin(Source(name="a", model=REPO))
    for fault in ({"drop_after": [0] * 9}, {"statuses": [503] * 9}):
        for name, value in fault.items():
            setattr(hub.faults, name, value)
        with pytest.raises(TransientError):
            fetch(HubFetch(repo=REPO, commit=sha), [], work, Silent())
        hub.faults.drop_after, hub.faults.statuses = [], []
    fetch(HubFetch(repo=REPO, commit=sha), [], work, Silent())
    assert content(work.out) == wanted(model)


def test_the_token_is_nowhere_but_in_the_hubs_own_requests(
    hub: LocalHub, model: Files, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    hub.commit(REPO, model)
    hub.repos[REPO].gated = True
    pinned = pin(Source(name="a", model=REPO))
    build_all(plan_step("fetch a", "fetch", pinned.spec), store, Silent())
    assert {request.authorization for request in hub.asked("hub")} == {"Bearer hf_canary"}
    assert {request.authorization for request in hub.asked("storage")} == {None}
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"canary" in path.read_bytes()]


def test_a_folder_is_copied(model: Files, tmp_path: Path, work: Workspace) -> None:
    folder = write_files(tmp_path / "my-model", model)
    spec = pin(Source(name="a", model=str(folder))).spec
    assert isinstance(spec, LocalFetch)
    facts = fetch(spec, [], work, Silent())
    assert content(work.out) == wanted(model)
    assert (facts["model"], facts["commit"], facts["licence"]) == ("my-model", spec.digest, "apache-2.0")
    assert content(folder).keys() >= FETCHED  # copied, not moved


def test_a_folder_that_changed_since_the_plan_is_refused(model: Files, tmp_path: Path, work: Workspace) -> None:
    folder = write_files(tmp_path / "model", model)
    spec = pin(Source(name="a", model=str(folder))).spec
    (folder / "tokenizer.json").write_bytes(b"{}")
    with pytest.raises(SourceError, match="changed after the plan"):
        fetch(spec, [], work, Silent())
    assert content(work.out) == {}
