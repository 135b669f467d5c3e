"""`suture merge`: from folders to a folder."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from suture.direct import ACCOUNT, merge_into
from suture.errors import HostError, SourceError
from suture.merge import stream
from suture.progress import Silent
from suture.recipe import Recipe

LAYERS, WIDTH = 4, 64
SHARD = 20_000
KILLED_AFTER = 5  # reports of progress

Folders = dict[str, Path]


def write_model(folder: Path, seed: int) -> Path:
    random = np.random.default_rng(seed)
    shapes = {"model.embed_tokens.weight": (40, WIDTH), "model.norm.weight": (WIDTH,)}
    shapes |= {f"model.layers.{layer}.mlp.weight": (WIDTH, WIDTH) for layer in range(LAYERS)}
    tensors = {name: random.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    folder.mkdir()
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")
    config = {"model_type": "pico", "num_hidden_layers": LAYERS, "hidden_size": WIDTH, "vocab_size": 40}
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer = {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}, "added_tokens": []}
    for name, content in (("tokenizer.json", tokenizer), ("tokenizer_config.json", {})):
        (folder / name).write_text(json.dumps(content))
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return {name: write_model(tmp_path / name, seed) for seed, name in enumerate("abc")}


def recipe_of(folders: Folders, merge: dict[str, Any], **more: Any) -> Recipe:
    sources = [{"name": name, "model": str(folder)} for name, folder in folders.items()]
    return Recipe.model_validate({"name": "direct", "sources": sources, "merge": merge, **more})


def blend(method: str, *sources: str, **settings: Any) -> dict[str, Any]:
    return {"method": method, "base": "a", "models": [{"source": source} for source in sources], **settings}


def load(folder: Path) -> dict[str, np.ndarray]:
    loaded: dict[str, np.ndarray] = {}
    for file in sorted(folder.glob("*.safetensors")):
        loaded |= safetensors.numpy.load_file(file)
    return loaded


def digest(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_output_is_a_checkpoint_with_its_account(folders: Folders, tmp_path: Path) -> None:
    recipe = recipe_of(folders, blend("linear", "a", "b"))
    account = merge_into(recipe, tmp_path / "out", SHARD, Silent())
    a, b, merged = load(folders["a"]), load(folders["b"]), load(tmp_path / "out")
    assert merged.keys() == a.keys()
    for name, tensor in merged.items():
        np.testing.assert_allclose(tensor, (a[name] + b[name]) / 2, atol=1e-6)
    written = json.loads((tmp_path / "out" / ACCOUNT).read_text())
    assert written["merges"] == {"merge": account}
    assert written["recipe"]["merge"]["method"] == "linear"
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "c", "out"}


def test_a_stage_is_made_first(folders: Folders, tmp_path: Path) -> None:
    stages = [
        {"name": "unused", "merge": blend("slerp", "a", "c")},
        {"name": "early", "merge": blend("linear", "a", "b")},
    ]
    merge = {"method": "linear", "base": "a", "models": [{"source": "early"}, {"source": "c"}]}
    merge_into(recipe_of(folders, merge, stages=stages), tmp_path / "out", SHARD, Silent())
    a, b, c = (load(folders[name]) for name in "abc")
    for name, tensor in load(tmp_path / "out").items():
        np.testing.assert_allclose(tensor, (a[name] + b[name]) / 4 + c[name] / 2, atol=1e-6)
    written = json.loads((tmp_path / "out" / ACCOUNT).read_text())
    assert list(written["merges"]) == ["early", "merge"]


def test_an_output_that_exists_is_left_alone(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("mine")
    with pytest.raises(HostError, match="exists already"):
        merge_into(recipe_of(folders, blend("linear", "a", "b")), tmp_path / "out", SHARD, Silent())
    assert digest(tmp_path / "out") == {"precious": b"mine"}


def test_a_refused_merge_writes_nothing(folders: Folders, tmp_path: Path) -> None:
    (folders["a"] / "tokenizer.json").unlink()
    with pytest.raises(SourceError):
        merge_into(recipe_of(folders, blend("linear", "a", "b")), tmp_path / "out", SHARD, Silent())
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "c"}


KILLER = """
import os, signal, sys
from pathlib import Path
from suture.direct import merge_into
from suture.recipe import Recipe

class Killer:
    reports = 0
    def update(self, done, total, unit):
        self.reports += 1
        if self.reports == {reports}:
            os.kill(os.getpid(), signal.SIGKILL)
    def say(self, message): ...

merge_into(Recipe.model_validate_json(sys.argv[1]), Path(sys.argv[2]), {shard}, Killer())
"""


def kill_in_the_middle(recipe: Recipe, out: Path) -> None:
    script = KILLER.format(reports=KILLED_AFTER, shard=SHARD)
    argv = [sys.executable, "-c", script, recipe.model_dump_json(), str(out)]
    ended = subprocess.run(argv, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


@pytest.fixture
def in_the_middle(folders: Folders, tmp_path: Path) -> Recipe:
    """A recipe whose merge was killed after its first shards."""
    recipe = recipe_of(folders, blend("ties", "b", "c", dialect="mergekit"))
    kill_in_the_middle(recipe, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    return recipe


def shards(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.glob("*.safetensors")}


def test_a_killed_merge_goes_on_from_its_finished_files(in_the_middle: Recipe, tmp_path: Path) -> None:
    partial = tmp_path / "out.partial"
    noted = json.loads((partial / "written.json").read_text())["files"]
    before = shards(partial / "checkpoint")
    assert 1 <= len(noted) < 6
    merge_into(in_the_middle, tmp_path / "out", SHARD, Silent())
    after = shards(tmp_path / "out")
    assert {name for name in noted if after[name] == before[name]} == set(noted)
    merge_into(in_the_middle, tmp_path / "undisturbed", SHARD, Silent())
    assert digest(tmp_path / "out") == digest(tmp_path / "undisturbed")
    assert not partial.exists()


def test_what_is_no_number_is_counted_once_whether_killed_or_not(folders: Folders, tmp_path: Path) -> None:
    b = load(folders["b"])
    for name in ("model.embed_tokens.weight", "model.layers.0.mlp.weight", "model.layers.3.mlp.weight"):
        b[name][1, 2:4] = np.nan, np.inf
    safetensors.numpy.save_file(b, folders["b"] / "model.safetensors")
    recipe = recipe_of(folders, blend("linear", "b", "c"))
    kill_in_the_middle(recipe, tmp_path / "out")
    accounts = [merge_into(recipe, tmp_path / name, SHARD, Silent()) for name in ("out", "undisturbed")]
    assert accounts[0] == accounts[1]
    assert (accounts[0]["nan_in"], accounts[0]["inf_in"]) == ({"a": 0, "b": 3, "c": 0}, {"a": 0, "b": 3, "c": 0})
    assert (accounts[0]["nan_out"], accounts[0]["inf_out"]) == (3, 3)


@pytest.mark.parametrize("change", ["recipe", "source", "shard"])
def test_nothing_of_another_merge_is_taken_over(
    in_the_middle: Recipe, folders: Folders, tmp_path: Path, change: str
) -> None:
    recipe = in_the_middle
    if change == "recipe":
        recipe = recipe_of(folders, blend("ties", "b", "c", dialect="mergekit", **{"lambda": 0.5}))
    elif change == "source":
        source = folders["b"] / "model.safetensors"
        safetensors.numpy.save_file({name: -tensor for name, tensor in load(folders["b"]).items()}, source)
    else:
        first = next((tmp_path / "out.partial/checkpoint").glob("model-00001*"))
        content = bytearray(first.read_bytes())
        content[-1] ^= 1
        first.write_bytes(content)
    merge_into(recipe, tmp_path / "out", SHARD, Silent())
    merge_into(recipe, tmp_path / "undisturbed", SHARD, Silent())
    assert digest(tmp_path / "out") == digest(tmp_path / "undisturbed")


@pytest.mark.parametrize("method", ["dare_ties", "della", "slerp", "ties"])
def test_the_bytes_do_not_depend_on_threads_or_shards(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, fresh_settings: Callable[[], None]
) -> None:
    monkeypatch.setattr(stream, "CHUNK", 500)  # several chunks per tensor
    density = {"density": 0.5} if method != "slerp" else {}
    models = [{"source": source, **density} for source in ("ab" if method == "slerp" else "bc")]
    recipe = recipe_of(folders, {"method": method, "base": "a", "models": models})
    results: list[dict[str, bytes]] = []
    for number, (threads, shard) in enumerate([(1, SHARD), (2, SHARD * 3), (5, 10**9)]):
        monkeypatch.setenv("SUTURE_THREADS", str(threads))
        fresh_settings()
        merge_into(recipe, tmp_path / f"out{number}", shard, Silent())
        results.append({name: tensor.tobytes() for name, tensor in load(tmp_path / f"out{number}").items()})
    assert results[0] == results[1] == results[2]


@pytest.fixture
def fresh_settings() -> Callable[[], None]:
    from suture.settings import settings

    return settings.cache_clear
