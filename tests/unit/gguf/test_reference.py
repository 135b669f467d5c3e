from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from suture.errors import CheckpointError, SourceError
from suture.gguf.reference import pin_reference, reference
from suture.progress import Silent
from suture.store import Workspace


def test_the_copy_has_the_files_bytes_and_the_facts_tell_what_it_is(small_gguf: Path, work: Workspace) -> None:
    facts = reference(pin_reference(small_gguf), (), work, Silent())
    copy = work.out / "model.gguf"
    assert copy.read_bytes() == small_gguf.read_bytes()
    assert facts == {"size_bytes": copy.stat().st_size, "type": "Q8_0", "tensors": 4}


def test_the_key_depends_on_the_content_and_not_on_the_place(small_gguf: Path) -> None:
    spec = pin_reference(small_gguf)
    moved = small_gguf.rename(small_gguf.with_name("moved.gguf"))
    assert spec.model_dump(mode="json") == pin_reference(moved).model_dump(mode="json")
    assert spec.sha256 == hashlib.sha256(moved.read_bytes()).hexdigest()


def test_a_file_that_changed_since_the_plan_is_refused(small_gguf: Path, work: Workspace) -> None:
    spec = pin_reference(small_gguf)
    content = bytearray(small_gguf.read_bytes())
    content[-1] ^= 1
    small_gguf.write_bytes(content)
    with pytest.raises(SourceError, match="changed"):
        reference(spec, (), work, Silent())


def test_what_is_not_a_gguf_cannot_be_pinned(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    with pytest.raises(CheckpointError, match="not a GGUF"):
        pin_reference(path)
