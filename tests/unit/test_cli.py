"""The command line: its outer surface, and the store's commands on a small store."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import typer
from syrupy.assertion import SnapshotAssertion
from typer.main import get_command

from suture.cli import app
from suture.errors import HostError
from suture.recipe import Recipe
from suture.settings import settings
from suture.store import Store
from tests.unit.store import builder


def surface(command: object, path: str = "suture") -> list[str]:
    """Every command with its help and its parameters, a line each."""
    lines = [f"{path}: {command.help}"]
    lines += [f"{path} {'/'.join(p.opts)} (default {p.default}): {p.help}" for p in command.params]
    for name, sub in sorted(getattr(command, "commands", {}).items()):
        lines += surface(sub, f"{path} {name}")
    return lines


def suture(*arguments: str) -> int:
    """Run a command in this process; returns its exit status."""
    return app(arguments, standalone_mode=False) or 0


@pytest.fixture
def key(tmp_path: Path) -> str:
    """Key of the one artifact in this test's store."""
    root = Path(os.environ["SUTURE_STORE"])
    return builder.build(root, builder.BuildSpec(tally=tmp_path / "tally")).artifact.key


def test_surface(snapshot: SnapshotAssertion) -> None:
    assert "\n".join(surface(get_command(app))) == snapshot


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    suture("schema")
    assert json.loads(capsys.readouterr().out) == Recipe.model_json_schema()


def test_store_shows_an_artifact_by_the_beginning_of_its_key(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    suture("store", "ls")
    assert key[:12] in capsys.readouterr().out
    suture("store", "show", key[:8])
    assert json.loads(capsys.readouterr().out)["key"] == key
    suture("store", "path", key[:8])
    assert (Path(capsys.readouterr().out.strip()) / "part" / "0.bin").read_bytes() == builder.content(0, 2000)


def test_an_unknown_key_is_refused(key: str) -> None:
    with pytest.raises(HostError, match="suture store ls"):
        suture("store", "path", "0000" if not key.startswith("0000") else "1111")


def test_fsck_finds_and_sets_aside(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert suture("store", "fsck") == 0
    store = Store(Path(os.environ["SUTURE_STORE"]))
    damaged = store.artifacts / key / "part" / "1.bin"
    damaged.chmod(0o644)
    content = bytearray(damaged.read_bytes())
    content[100] ^= 1
    damaged.write_bytes(content)
    assert suture("store", "fsck") == 1
    assert key[:12] in capsys.readouterr().out
    assert not store.has(key)
    assert suture("store", "fsck") == 0


def test_gc_says_what_would_go_and_then_removes_it(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    suture("store", "gc", "--keep-runs", "3", "--dry-run")
    assert key in capsys.readouterr().out
    store = Store(Path(os.environ["SUTURE_STORE"]))
    assert store.has(key)
    suture("store", "gc", "--keep-runs", "3")
    assert not store.has(key)


def test_remote_is_pushed_to_pulled_from_and_cleaned(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HostError, match="has no remote"):
        suture("store", "push", key[:8])
    (tmp_path / "remote").mkdir()
    monkeypatch.setenv("SUTURE_REMOTE", str(tmp_path / "remote"))
    settings.cache_clear()
    with pytest.raises(typer.BadParameter, match="name keys"):
        suture("store", "push")
    suture("store", "push", key[:8])
    assert f"1 artifacts are in {tmp_path / 'remote'}" in capsys.readouterr().out

    Store(Path(os.environ["SUTURE_STORE"])).remove(key)
    suture("store", "pull", key[:8])
    assert (Path(capsys.readouterr().out.strip()) / "part" / "0.bin").read_bytes() == builder.content(0, 2000)
    with pytest.raises(HostError, match="No single artifact"):
        suture("store", "pull", "0000" if not key.startswith("0000") else "1111")

    suture("store", "gc-remote", "--older-than", "0", "--dry-run")
    assert key in capsys.readouterr().out
    suture("store", "gc-remote", "--older-than", "0")
    assert not (tmp_path / "remote" / "artifacts" / key).exists()
