"""Which training checkpoint is trusted after a kill."""

from __future__ import annotations

from pathlib import Path

import pytest

from suture.heal.training.checkpoints import is_sound, newest_sound, seal, step_of


def write(folder: Path, step: int, *, sealed: bool = True) -> Path:
    checkpoint = folder / f"checkpoint-{step}"
    checkpoint.mkdir()
    (checkpoint / "adapter_model.safetensors").write_bytes(b"weights" * step)
    (checkpoint / "optimizer.pt").write_bytes(b"moments" * step)
    if sealed:
        seal(checkpoint)
    return checkpoint


def test_the_newest_is_by_number_and_the_rest_goes(tmp_path: Path) -> None:
    made = {step: write(tmp_path, step) for step in (9, 10, 2)}
    assert newest_sound(tmp_path) == made[10]
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-10"]
    assert step_of(made[10]) == 10


def test_what_has_no_seal_is_removed(tmp_path: Path) -> None:
    whole = write(tmp_path, 4)
    write(tmp_path, 8, sealed=False)
    assert newest_sound(tmp_path) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-4"]


@pytest.mark.parametrize("damage", ["truncate", "change", "remove", "spoil the seal"])
def test_what_does_not_fit_its_seal_is_removed(tmp_path: Path, damage: str) -> None:
    checkpoint = write(tmp_path, 4)
    assert is_sound(checkpoint)
    file = checkpoint / "optimizer.pt"
    match damage:
        case "truncate":
            file.write_bytes(file.read_bytes()[:-1])
        case "change":
            file.write_bytes(b"Moments" + file.read_bytes()[7:])
        case "remove":
            file.unlink()
        case _:
            (checkpoint / "complete.json").write_text("{")
    assert not is_sound(checkpoint)
    assert newest_sound(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_no_checkpoint(tmp_path: Path) -> None:
    assert newest_sound(tmp_path) is None
