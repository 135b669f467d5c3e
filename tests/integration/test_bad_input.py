"""Bad input ends with status 2, one screen that says what to do, and nothing written."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

SUTURE = [sys.executable, "-m", "suture"]


def suture(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SUTURE, *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def assert_refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 2, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) <= 24, result.stderr
    for word in words:
        assert word in result.stderr, result.stderr
    assert not Path(os.environ["SUTURE_STORE"]).exists(), "a refused recipe must not write to the store"


@pytest.fixture
def variant(pico_recipe: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the pico recipe, and of its source `a`, for a test to damage."""

    def make(change: Callable[[dict], None] | None = None, damage: Callable[[Path], None] | None = None) -> Path:
        content = yaml.safe_load(pico_recipe.read_text())
        if damage is not None:
            source = Path(content["sources"][0]["model"])
            folder = tmp_path / "damaged"
            shutil.copytree(source, folder)
            for path in [folder, *folder.rglob("*")]:
                path.chmod(0o755 if path.is_dir() else 0o644)
            damage(folder)
            content["sources"][0]["model"] = str(folder)
        if change is not None:
            change(content)
        path = tmp_path / "bad.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return make


def rewrite_header(folder: Path, edit: Callable[[bytes], bytes]) -> None:
    """Replace the JSON header of the folder's safetensors file, leaving its data as it is."""
    (path,) = folder.glob("*.safetensors")
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = edit(content[8 : 8 + length])
    path.write_bytes(struct.pack("<Q", len(header)) + header + content[8 + length :])


def double_first_key(header: bytes) -> bytes:
    name, entry = next((k, v) for k, v in json.loads(header).items() if k != "__metadata__")
    return header.rstrip()[:-1] + b"," + json.dumps(name).encode() + b":" + json.dumps(entry).encode() + b"}"


def truncate(folder: Path) -> None:
    (path,) = folder.glob("*.safetensors")
    os.truncate(path, path.stat().st_size - 1000)


def point_outside(folder: Path) -> None:
    (path,) = folder.glob("*.safetensors")
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    names = [name for name in json.loads(content[8 : 8 + length]) if name != "__metadata__"]
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, f"../{path.name}")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    path.rename(folder.parent / path.name)


def widen(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["hidden_size"] *= 2
    (folder / "config.json").write_text(json.dumps(config))


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


@pytest.mark.parametrize("command", ["plan", "run"])
def test_unknown_field(variant: Callable[..., Path], command: str) -> None:
    recipe = variant(lambda content: content.update(heel={}))
    assert_refused(suture(command, recipe), "heel", str(recipe), "suture schema")


@pytest.mark.parametrize("command", ["plan", "run"])
def test_layer_range_past_the_end(variant: Callable[..., Path], command: str) -> None:
    recipe = variant(lambda content: content["merge"]["slices"][1].update(layers=[1, 9]))
    assert_refused(suture(command, recipe), "9", "4")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (widen, ("hidden_size",)),
        (no_tokenizer, ("tokenizer.json",)),
        (truncate, (".safetensors", "bytes")),
        (lambda folder: rewrite_header(folder, double_first_key), ("twice",)),
        (point_outside, ("..",)),
        (shutil.rmtree, ("damaged",)),
    ],
    ids=["other-shape", "no-tokenizer", "truncated", "duplicate-key", "weight-map-outside", "no-folder"],
)
def test_damaged_source(variant: Callable[..., Path], damage: Callable[[Path], None], words: tuple[str, ...]) -> None:
    recipe = variant(damage=damage)
    assert_refused(suture("run", recipe), "way out", *words)


def test_llama_cpp_folder_without_binaries(variant: Callable[..., Path], tmp_path: Path) -> None:
    empty = tmp_path / "llama.cpp"
    empty.mkdir()
    assert_refused(suture("run", variant(), SUTURE_LLAMA_CPP=str(empty)), "llama-quantize", str(empty), "way out")


def test_port_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_refused(suture("up", "--port", str(port)), str(port), "way out")


def test_full_disk(variant: Callable[..., Path], tmpfs: Callable[[int], Path]) -> None:
    """A store on a disk of 1 MB: refused before anything is written."""
    disk = tmpfs(1_000_000)
    result = suture("run", variant(), SUTURE_STORE=str(disk / "store"))
    assert result.returncode == 2, result.stderr
    assert "full" in result.stderr
    assert "needed" in result.stderr or "expected" in result.stderr
    assert not (disk / "store").exists()
