from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from suture.checkpoint.layout import read_layout
from suture.errors import CheckpointError, InputError, SourceError, TransientError
from suture.hub import repository
from suture.hub.fetch import HubFetch, LocalFetch
from suture.hub.pins import Pinned, pin
from suture.recipe import Source
from suture.settings import settings
from tests.unit.hub.checkpoint_files import FETCHED, REPO, checkpoint_files, write_files
from tests.unit.hub.local_hub import LocalHub

Files = dict[str, bytes]


def pin_repository(revision: str = "main", repo: str = REPO) -> Pinned:
    return pin(Source(name="a", model=repo, revision=revision))


def pin_folder(folder: Path) -> Pinned:
    return pin(Source(name="a", model=str(folder)))


# -- a repository -------------------------------------------------------------------------------------------------


def test_a_repository_is_pinned_to_its_commit(hub: LocalHub, model: Files, tmp_path: Path) -> None:
    sha = hub.commit(REPO, model)
    found = pin_repository()
    fetched = read_layout(write_files(tmp_path / "model", {name: model[name] for name in FETCHED}))
    assert (found.name, found.model, found.commit, found.licence) == ("a", REPO, sha, "apache-2.0")
    assert found.spec == HubFetch(repo=REPO, commit=sha)
    assert found.layout == fetched


def test_planning_reads_headers_and_no_weights(hub: LocalHub) -> None:
    files = checkpoint_files(rows=1_000_000)
    sha = hub.commit(REPO, files)
    found = pin_repository()
    shard = settings().cache / "hub" / REPO.replace("/", "--") / sha / "skeleton" / "model-00001-of-00002.safetensors"
    assert found.layout.size == 4 * 8 * (1_000_000 + 16)
    assert shard.stat().st_size == len(files[shard.name])
    assert shard.stat().st_blocks * 512 < 100_000  # a hole where the numbers would be
    sizes = [_asked_bytes(request.range) for request in hub.asked("storage")]
    assert len(sizes) == 3  # two headers, tokenizer.json
    assert all(size <= 256 * 1024 for size in sizes[1:])


def test_a_long_header_is_read_to_its_end(hub: LocalHub, model: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "_FIRST_READ", 16)
    hub.commit(REPO, model)
    assert set(pin_repository().layout.tensors) == {"model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight"}


def test_one_file_needs_no_index(hub: LocalHub, model: Files) -> None:
    shard = model["model-00002-of-00002.safetensors"]
    beside = {name: data for name, data in model.items() if "model-" not in name and not name.endswith("index.json")}
    hub.commit(REPO, beside | {"model.safetensors": shard})
    found = pin_repository().layout
    assert list(found.tensors) == ["model.layers.0.mlp.up_proj.weight"]
    assert [name for name in found.files if name.endswith(".safetensors")] == ["model.safetensors"]


def test_a_branch_that_moves_is_another_pin(hub: LocalHub, model: Files) -> None:
    old = hub.commit(REPO, model)
    assert pin_repository().commit == old
    new = hub.commit(REPO, model | {"generation_config.json": b"{}"})
    assert pin_repository().commit == new
    assert pin_repository(old).commit == old
    assert "generation_config.json" in pin_repository().layout.files


def test_a_known_commit_is_pinned_without_asking(hub: LocalHub, model: Files, offline: Callable[[], None]) -> None:
    sha = hub.commit(REPO, model)
    first = pin_repository()
    hub.requests.clear()
    hub.commit(REPO, model | {"generation_config.json": b"{}"})
    offline()
    assert pin_repository(sha) == first
    assert pin_repository("main") == first  # what it was when the hub was last asked
    assert hub.requests == []
    with pytest.raises(SourceError, match="SUTURE_OFFLINE") as caught:
        pin_repository("another-branch")
    assert "another-branch" in str(caught.value)


def test_a_repository_that_is_not_there(hub: LocalHub) -> None:
    with pytest.raises(SourceError, match="no such repository") as caught:
        pin_repository(repo="nobody/nothing")
    assert "nobody/nothing" in str(caught.value)
    assert "HF_TOKEN" in str(caught.value)
    assert len(hub.requests) == 1


def test_a_private_repository_needs_a_token(hub: LocalHub, model: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    sha = hub.commit(REPO, model)
    hub.repos[REPO].private = True
    with pytest.raises(SourceError, match="or it is private"):
        pin_repository()
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    assert pin_repository().commit == sha


def test_a_busy_hub_says_when_to_come_again(hub: LocalHub, model: Files) -> None:
    hub.commit(REPO, model)
    hub.faults.api_status, hub.waits = 429, {"RateLimit": '"api";r=0;t=123'}
    with pytest.raises(TransientError) as caught:
        pin_repository()
    assert "wait 123 seconds" in str(caught.value)


def test_a_revision_that_is_not_there(hub: LocalHub, model: Files) -> None:
    hub.commit(REPO, model)
    for revision in ("no-such-branch", "0" * 40):
        with pytest.raises(SourceError, match="no such revision") as caught:
            pin_repository(revision)
        assert revision in str(caught.value)


@pytest.mark.parametrize("name", ["a/b/c", "a b/c", "nonsense--"])
def test_a_name_that_no_repository_can_have(hub: LocalHub, name: str) -> None:
    with pytest.raises(SourceError, match="not the name of a repository"):
        pin_repository(repo=name)
    assert hub.requests == []


def test_a_gated_repository_needs_a_token(
    hub: LocalHub, model: Files, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hub.commit(REPO, model)
    hub.repos[REPO].gated = True
    with pytest.raises(SourceError, match="gated") as caught:
        pin_repository()
    assert "HF_TOKEN is not set" in str(caught.value)
    monkeypatch.setenv("HF_TOKEN", "hf_canary\n")  # as a file with a line's end would give it
    assert pin_repository().layout.layers == 1
    assert {request.authorization for request in hub.asked("hub")[-1:]} == {"Bearer hf_canary"}
    assert {request.authorization for request in hub.asked("storage")} == {None}
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"canary" in path.read_bytes()]


def test_a_token_that_the_hub_client_stored_is_not_used(
    hub: LocalHub, model: Files, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("hf_stored")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    hub.commit(REPO, model)
    pin_repository()
    assert {request.authorization for request in hub.requests} == {None}


def test_a_hub_that_nobody_answers_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(TransientError, match="cannot be reached"):
        pin_repository()


@pytest.mark.parametrize(("status", "kind"), [(500, TransientError), (429, TransientError), (403, SourceError)])
def test_a_hub_out_of_order(hub: LocalHub, model: Files, status: int, kind: type[Exception]) -> None:
    hub.commit(REPO, model)
    hub.faults.api_status = status
    with pytest.raises(kind, match=str(status)):
        pin_repository()


def test_a_file_that_is_not_what_the_hub_lists(hub: LocalHub, model: Files) -> None:
    hub.commit(REPO, model)
    hub.faults.corrupt = True
    with pytest.raises(SourceError, match="other bytes"):
        pin_repository()
    hub.faults.corrupt = False
    assert pin_repository().layout.layers == 1  # nothing half made is gone on with


# -- what is wrong with a model, wherever it is -------------------------------------------------------------------


def _header(text: str, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(text)) + text.encode() + data


_F32 = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
_WRONG: dict[str, tuple[Files, type[InputError], str]] = {
    "doubled name": (
        {"model-00002-of-00002.safetensors": _header(f'{{"a":{_F32},"a":{_F32}}}', bytes(4))},
        CheckpointError,
        "given twice",
    ),
    "file cut short": (
        {"model-00002-of-00002.safetensors": _header(f'{{"a":{_F32}}}', bytes(3))},
        CheckpointError,
        "cut short",
    ),
    "header cut short": (
        {"model-00002-of-00002.safetensors": b"\xff\0\0\0\0\0\0\0{"},
        CheckpointError,
        "ends before",
    ),
    "header bomb": (
        {"model-00002-of-00002.safetensors": struct.pack("<Q", 1 << 60) + b"{}"},
        CheckpointError,
        "ends before",
    ),
    "index outside": (
        {"model.safetensors.index.json": json.dumps({"weight_map": {"a": "../x.safetensors"}}).encode()},
        CheckpointError,
        "do not agree",
    ),
    "index to a pickle": (
        {"model.safetensors.index.json": json.dumps({"weight_map": {"a": "pytorch_model.bin"}}).encode()},
        CheckpointError,
        "do not agree",
    ),
    "no index": ({"model.safetensors.index.json": b"[]"}, CheckpointError, "not a JSON object"),
    "own code": ({"config.json": b'{"auto_map": {"AutoModel": "evil.Evil"}}'}, SourceError, "code of its own"),
    "no config": ({"config.json": b""}, CheckpointError, "not JSON"),
}


@pytest.mark.parametrize("case", _WRONG)
def test_a_malformed_folder(model: Files, tmp_path: Path, case: str) -> None:
    files, kind, problem = _WRONG[case]
    with pytest.raises(kind, match=problem) as caught:
        pin_folder(write_files(tmp_path / "model", model | files))
    assert str(tmp_path / "model") in str(caught.value)


@pytest.mark.parametrize("case", _WRONG)
def test_a_malformed_repository(hub: LocalHub, model: Files, tmp_path: Path, case: str) -> None:
    files, kind, problem = _WRONG[case]
    hub.commit(REPO, model | files)
    for _ in range(2):  # the second time from the cache
        with pytest.raises(kind, match=problem) as caught:
            pin_repository()
        assert REPO in str(caught.value)
        assert str(tmp_path) not in str(caught.value)  # not where it lies in the cache


@pytest.mark.parametrize(
    ("missing", "problem"),
    [
        ("model.safetensors.index.json", "no weights in safetensors"),
        ("model-00002-of-00002.safetensors", "do not agree"),
        ("tokenizer.json", "tokenizer is missing"),
        ("tokenizer_config.json", "tokenizer is missing"),
        ("config.json", r"no config\.json"),
    ],
)
def test_a_model_that_lacks_a_file(hub: LocalHub, model: Files, tmp_path: Path, missing: str, problem: str) -> None:
    del model[missing]
    hub.commit(REPO, model)
    with pytest.raises(InputError, match=problem):
        pin_repository()
    with pytest.raises(InputError, match=problem):
        pin_folder(write_files(tmp_path / "model", model))


# -- a folder -----------------------------------------------------------------------------------------------------


def test_a_folder_is_pinned_to_its_files(model: Files, tmp_path: Path) -> None:
    found = pin_folder(write_files(tmp_path / "my-model", model))
    assert isinstance(found.spec, LocalFetch)
    assert set(found.spec.files) == FETCHED
    assert set(found.layout.files) == FETCHED
    assert (found.model, found.licence, found.layout.layers) == ("my-model", "apache-2.0", 1)


def test_a_folders_pin_depends_on_content_and_not_on_place(model: Files, tmp_path: Path) -> None:
    here, there = (pin_folder(write_files(tmp_path / name, model)) for name in ("here", "there"))
    assert here.spec.model_dump(mode="json") == there.spec.model_dump(mode="json")
    assert here.commit == there.commit
    other = pin_folder(write_files(tmp_path / "there", model | {"generation_config.json": b"{}"}))
    assert other.commit != here.commit


def test_a_folder_of_links_as_the_hub_client_caches_models(model: Files, tmp_path: Path) -> None:
    blobs = write_files(tmp_path / "blobs", model)
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for name in FETCHED:
        (snapshot / name).symlink_to(blobs / name)
    assert pin_folder(snapshot).commit == pin_folder(blobs).commit


def test_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "nothing", tmp_path / "file"):
        with pytest.raises(SourceError, match="no such folder") as caught:
            pin_folder(path)
        assert str(path) in str(caught.value)


def test_a_builtin_that_is_not_there() -> None:
    with pytest.raises(SourceError, match="no such built-in model") as caught:
        pin(Source(name="a", model="builtin:gpt-5"))
    assert "builtin:smollm2-135m-instruct" in str(caught.value)


def _asked_bytes(wanted: str | None) -> int:
    assert wanted is not None
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    return int(last) + 1 - int(first) if last else 10**9
