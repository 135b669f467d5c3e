"""`suture quantize` where no tool needs to run: what it refuses, and what it leaves of what failed."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from suture import direct_gguf
from suture.direct_gguf import quantize_into
from suture.errors import CheckpointError, HostError, InputError, ProcessError, RecipeError
from suture.progress import Silent
from suture.recipe import NEED_IMATRIX, Imatrix, QuantType
from suture.store import Workspace, locks
from tests.unit.gguf.plain_gguf import write_gguf


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    return folder


@pytest.fixture
def converts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The converter leaves a file and a log."""

    def convert(folder: Path, _spec: object, work: Workspace, _progress: object) -> dict[str, object]:
        write_gguf(work.out / "model.gguf")
        (work.out / "convert.log").write_text(f"converted {folder}")
        return {}

    monkeypatch.setattr(direct_gguf, "write_gguf", convert)


def fail_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def quantize(source: Path, _type: str, work: Workspace, *_: object) -> dict[str, object]:
        (work.out / "model.gguf").write_bytes(source.read_bytes()[:10])
        (work.out / "quantize.log").write_text("no such luck")
        raise error

    monkeypatch.setattr(direct_gguf, "write_quantized", quantize)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("converts")
def test_what_fails_leaves_its_logs_and_no_models(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(monkeypatch, ProcessError("Failed.", status=1, tail="no such luck"))
    out = tmp_path / "small.gguf"
    for _ in range(2):  # the second begins anew
        with pytest.raises(ProcessError):
            quantize_into(checkpoint, out, "Q8_0", None, Silent())
        left = files(tmp_path / "small.gguf.partial")
        assert left == {"lock", "converted/convert.log", "quantized/quantize.log"}
        assert not out.exists()


@pytest.mark.usefixtures("converts")
def test_a_full_disk_is_called_that(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(HostError, match="full"):
        quantize_into(checkpoint, tmp_path / "small.gguf", "Q8_0", None, Silent())


def test_a_folder_that_is_no_checkpoint_leaves_nothing(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        quantize_into(checkpoint, tmp_path / "small.gguf", "Q8_0", None, Silent())
    assert not list(tmp_path.glob("small*"))


def test_a_file_that_is_no_gguf_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("a text")
    with pytest.raises(CheckpointError, match="not a GGUF"):
        quantize_into(tmp_path / "text.gguf", tmp_path / "small.gguf", "Q8_0", None, Silent())
    assert not list(tmp_path.glob("small*"))


@pytest.mark.parametrize("type_", sorted(NEED_IMATRIX))
def test_what_needs_a_matrix_is_refused_before_anything_is_read(tmp_path: Path, type_: QuantType) -> None:
    with pytest.raises(RecipeError, match=f"{type_} cannot be made without") as caught:
        quantize_into(tmp_path / "not there", tmp_path / "small.gguf", type_, None, Silent())
    assert "--imatrix" in str(caught.value)


def test_an_output_that_exists_is_kept(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "small.gguf"
    out.write_text("precious")
    with pytest.raises(HostError, match="exists already"):
        quantize_into(checkpoint, out, "Q8_0", None, Silent())
    assert out.read_text() == "precious"


def test_another_process_at_the_same_file_is_told(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "small.gguf.partial"
    folder.mkdir()
    (folder / "theirs.gguf").write_text("half")
    with locks.locked(folder / "lock"), pytest.raises(HostError, match="Another process"):
        quantize_into(checkpoint, tmp_path / "small.gguf", "Q8_0", None, Silent())
    assert (folder / "theirs.gguf").exists()


@pytest.mark.usefixtures("converts")
def test_the_matrix_reads_all_of_a_users_text(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is measured here, so nothing need be held out; a built-in text keeps its part all the same."""
    seen: list[Any] = []

    def matrix(_gguf: Path, spec: object, *_: object) -> dict[str, object]:
        seen.append(spec)
        raise ProcessError("Enough.", status=1, tail="")

    monkeypatch.setattr(direct_gguf, "write_imatrix", matrix)
    text = tmp_path / "text.txt"
    text.write_text("One.\n\nTwo.")
    asked = Imatrix.model_validate({"text": {"text": str(text)}, "chunks": 7})
    with pytest.raises(ProcessError, match="Enough"):
        quantize_into(checkpoint, tmp_path / "small.gguf", "IQ1_S", asked, Silent())
    (spec,) = seen
    assert (spec.text.part, spec.chunks, spec.context) == ("all", 7, 512)
