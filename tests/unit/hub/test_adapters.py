"""Adapters: pinned, fetched and verified like models; their own licence; pickles and other files never."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from suture.checkpoint.adapter import open_adapter
from suture.errors import CheckpointError, SourceError
from suture.hub.fetch import AdapterFetch, HubFetch, LocalFetch, fetch
from suture.hub.pins import Pinned, pin
from suture.progress import Silent
from suture.recipe import Source
from suture.store import Workspace
from tests.unit.hub.checkpoint_files import REPO, write_files
from tests.unit.hub.local_hub import LocalHub

Files = dict[str, bytes]

ADAPTER_REPO = "somebody/adapter"
MODULE = "base_model.model.model.layers.0.mlp.up_proj"
FETCHED = {"adapter_config.json", "adapter_model.safetensors", "README.md", "LICENSE.txt", "USE_POLICY.md"}


def adapter_files(number: float = 1.0, columns: int = 8) -> Files:
    tensors = {
        f"{MODULE}.lora_A.weight": np.full((2, columns), number, np.float32),
        f"{MODULE}.lora_B.weight": np.ones((16, 2), np.float32),
    }
    return {
        "adapter_config.json": json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4}).encode(),
        "adapter_model.safetensors": save(tensors),
        "README.md": b"---\nlicense: cc-by-nc-4.0\nbase_model: somebody/model\n---\n",
        "LICENSE.txt": b"for no trade",
        "USE_POLICY.md": b"be good",
        "tokenizer.json": b"{}",
        "training_args.bin": b"a pickle",
        "checkpoint-100/adapter_model.safetensors": b"in a folder",
        "optimizer.pt": b"a pickle",
        "runs.py": b"import os",
    }


def pin_both(model: Path, adapter: str) -> Pinned:
    found = pin(Source(name="a", model=str(model), adapter=adapter)).adapter
    assert found is not None
    return found


@pytest.fixture
def base(model: Files, tmp_path: Path) -> Path:
    return write_files(tmp_path / "base", model)


def content(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# -- pins ---------------------------------------------------------------------------------------------------------


def test_a_source_without_an_adapter_has_none(base: Path) -> None:
    assert pin(Source(name="a", model=str(base))).adapter is None


def test_a_repository_is_pinned_to_its_commit_and_its_own_licence(hub: LocalHub, base: Path) -> None:
    sha = hub.commit(ADAPTER_REPO, adapter_files())
    found = pin_both(base, ADAPTER_REPO)
    assert (found.name, found.model, found.commit, found.licence) == ("a-adapter", ADAPTER_REPO, sha, "cc-by-nc-4.0")
    assert found.spec == AdapterFetch(files=HubFetch(repo=ADAPTER_REPO, commit=sha))
    assert set(found.layout.tensors) == {f"{MODULE}.lora_A.weight", f"{MODULE}.lora_B.weight"}
    assert set(found.layout.files) == FETCHED
    assert found.layout.config["r"] == 2


def test_planning_reads_the_header_alone(hub: LocalHub, base: Path) -> None:
    hub.commit(ADAPTER_REPO, adapter_files(columns=1_000_000))
    pin_both(base, ADAPTER_REPO)
    (asked,) = hub.asked("storage")
    assert asked.range == f"bytes=0-{256 * 1024 - 1}"


def test_a_revision_is_named_after_an_at_sign(hub: LocalHub, base: Path, offline: Callable[[], None]) -> None:
    old = hub.commit(ADAPTER_REPO, adapter_files(1))
    new = hub.commit(ADAPTER_REPO, adapter_files(2))
    assert pin_both(base, ADAPTER_REPO).commit == new
    first = pin_both(base, f"{ADAPTER_REPO}@{old}")
    assert first.commit == old
    offline()
    assert pin_both(base, f"{ADAPTER_REPO}@{old}") == first


def test_one_repository_may_hold_a_model_and_an_adapter(hub: LocalHub, model: Files) -> None:
    hub.commit(REPO, adapter_files() | model)
    found = pin(Source(name="a", model=REPO, adapter=REPO))
    assert "adapter_config.json" not in found.layout.files
    assert found.adapter is not None
    assert set(found.adapter.layout.tensors) == {f"{MODULE}.lora_A.weight", f"{MODULE}.lora_B.weight"}


def test_a_folder_is_pinned_to_its_files(base: Path, tmp_path: Path) -> None:
    folders = [write_files(tmp_path / name, adapter_files()) for name in ("one", "two")]
    one, two = (pin_both(base, str(folder)) for folder in folders)
    assert isinstance(one.spec, AdapterFetch)
    assert isinstance(one.spec.files, LocalFetch)
    assert set(one.spec.files.files) == FETCHED
    assert (one.model, one.licence) == ("one", "cc-by-nc-4.0")
    assert one.spec.model_dump(mode="json") == two.spec.model_dump(mode="json")


def test_a_repository_that_is_not_there_or_gated(hub: LocalHub, base: Path) -> None:
    with pytest.raises(SourceError, match="no such repository"):
        pin_both(base, "nobody/nothing")
    hub.commit(ADAPTER_REPO, adapter_files())
    hub.repos[ADAPTER_REPO].gated = True
    with pytest.raises(SourceError, match="gated") as caught:
        pin_both(base, ADAPTER_REPO)
    assert caught.value.where == ADAPTER_REPO


@pytest.mark.parametrize(
    ("missing", "added", "found"),
    [
        ("adapter_config.json", {}, "no adapter_config.json"),
        ("adapter_model.safetensors", {}, "no adapter_model.safetensors"),
        ("adapter_model.safetensors", {"adapter_model.bin": b"a pickle"}, "adapter_model.bin"),
    ],
)
def test_what_is_no_adapter_is_refused(
    hub: LocalHub, base: Path, tmp_path: Path, missing: str, added: Files, found: str
) -> None:
    files = {name: data for name, data in adapter_files().items() if name != missing} | added
    hub.commit(ADAPTER_REPO, files)
    for place in (ADAPTER_REPO, str(write_files(tmp_path / "adapter", files))):
        with pytest.raises(SourceError, match="not a LoRA adapter") as caught:
            pin_both(base, place)
        assert (str(caught.value.where), caught.value.found) == (place, found)


@pytest.mark.parametrize(
    ("file", "data", "problem"),
    [
        ("adapter_model.safetensors", b"\xff\0\0\0\0\0\0\0{", "ends before"),
        ("adapter_config.json", b"[]", "not a JSON object"),
        ("adapter_config.json", b'{"r": 1, "r": 2}', "given twice"),
    ],
)
def test_a_malformed_file_is_refused(
    hub: LocalHub, base: Path, tmp_path: Path, file: str, data: bytes, problem: str
) -> None:
    hub.commit(ADAPTER_REPO, adapter_files() | {file: data})
    for place in (ADAPTER_REPO, str(write_files(tmp_path / "adapter", adapter_files() | {file: data}))):
        with pytest.raises(CheckpointError, match=problem) as caught:
            pin_both(base, place)
        assert place in str(caught.value.where)


# -- fetch --------------------------------------------------------------------------------------------------------


def test_what_is_fetched_are_the_files_of_the_adapter(
    hub: LocalHub, base: Path, tmp_path: Path, work: Workspace
) -> None:
    files = adapter_files()
    sha = hub.commit(ADAPTER_REPO, files)
    facts = fetch(pin_both(base, ADAPTER_REPO).spec, [], work, Silent())
    assert content(work.out) == {name: files[name] for name in FETCHED}
    assert facts == {
        "model": ADAPTER_REPO,
        "commit": sha,
        "licence": "cc-by-nc-4.0",
        "tensors": 2,
        "parameters": 48,
        "bytes": 192,
        "nan": 0,
        "inf": 0,
    }
    local = Workspace("0" * 64, tmp_path / "local" / "out", tmp_path / "local" / "scratch")
    local.out.mkdir(parents=True)
    local.scratch.mkdir()
    fetch(pin_both(base, str(write_files(tmp_path / "adapter", files))).spec, [], local, Silent())
    assert content(local.out) == content(work.out)
    assert set(open_adapter(local.out).extents) == {f"{MODULE}.lora_A.weight", f"{MODULE}.lora_B.weight"}


def test_a_corrupting_hub_is_refused(hub: LocalHub, base: Path, work: Workspace) -> None:
    hub.commit(ADAPTER_REPO, adapter_files())
    spec = pin_both(base, ADAPTER_REPO).spec
    hub.faults.corrupt = True
    with pytest.raises(SourceError, match="other bytes than it lists"):
        fetch(spec, [], work, Silent())
    assert content(work.out) == {}


def test_a_folder_that_changed_since_the_plan_is_refused(base: Path, tmp_path: Path, work: Workspace) -> None:
    folder = write_files(tmp_path / "adapter", adapter_files())
    spec = pin_both(base, str(folder)).spec
    write_files(folder, {"adapter_model.safetensors": adapter_files(2)["adapter_model.safetensors"]})
    with pytest.raises(SourceError, match="changed after the plan"):
        fetch(spec, [], work, Silent())


@pytest.mark.parametrize(("number", "found"), [(np.nan, "16 NaN, 0 infinite"), (np.inf, "0 NaN, 16 infinite")])
def test_numbers_that_are_none_are_refused(
    base: Path, tmp_path: Path, work: Workspace, number: float, found: str
) -> None:
    folder = write_files(tmp_path / "adapter", adapter_files(number))
    with pytest.raises(SourceError, match="broken") as caught:
        fetch(pin_both(base, str(folder)).spec, [], work, Silent())
    assert caught.value.found == found
