"""What `suture audit` says of models that are not hostile, but that a user should know something of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from suture.cli import app
from suture.errors import SourceError
from suture.hub.audit import audit
from suture.progress import Silent
from tests.unit.hub.checkpoint_files import checkpoint_files, write_files

Data = dict[str, object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "model", checkpoint_files(rows=2))


@pytest.fixture
def suture(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs a command in this process; returns its status and what it prints."""

    def run(*arguments: str | Path) -> tuple[int, str]:
        status = app([*map(str, arguments)], standalone_mode=False) or 0
        return status, capsys.readouterr().out

    return run


def test_what_is_never_fetched_is_named(folder: Path, suture: Callable[..., tuple[int, str]]) -> None:
    write_files(
        folder, {"pytorch_model.bin": b"a pickle", "modeling.py": b"import os", "onnx/model.onnx": b"", "a.gguf": b""}
    )
    status, printed = suture("audit", folder, "--json")
    found = json.loads(printed)
    rows = {(row["severity"], row["file"]): row for row in found["findings"]}
    assert (status, found["verdict"]) == (0, "accepted")
    assert "can run code" in rows["warning", "pytorch_model.bin"]["problem"]
    assert "never fetched or run" in rows["warning", "modeling.py"]["problem"]
    assert rows["note", ""]["found"] == "'a.gguf', 'onnx/'"
    assert (found["tensors"], found["parameters"], found["nan"], found["inf"]) == (2, 18 * 8, 0, 0)


def test_what_is_refused_sets_the_status(folder: Path, suture: Callable[..., tuple[int, str]]) -> None:
    (folder / "config.json").write_text('{"auto_map": {"\x7f": "[red]evil.Evil"}, "vocab_size": -1}')
    (folder / "chat_template.jinja").write_text("{% for %}")  # not tried any more
    (folder / "tokenizer.json").unlink()
    status, printed = suture("audit", folder)
    assert status == 1
    for word in ("refused", "config.json", "Python", "tokenizer", "not tried"):
        assert word in printed
    status, printed = suture("audit", folder, "--json")
    found = json.loads(printed)
    assert (status, found["verdict"]) == (1, "refused")
    assert {row["file"] for row in found["findings"] if row["severity"] == "refused"} == {"config.json", ""}
    assert "\x7f" not in printed
    assert found["nan"] is None


def test_numbers_that_are_none_are_counted_by_tensor(folder: Path) -> None:
    shard = "model-00002-of-00002.safetensors"
    numbers = np.array([[np.nan, np.inf, -np.inf, 1.0], [np.nan, 0, 0, 0]], np.float32)
    (folder / shard).write_bytes(save({"model.layers.0.mlp.up_proj.weight": numbers}))
    found = audit(folder, Silent())
    assert not found.is_refused
    (broken,) = [finding for finding in found.findings if "numbers that are none" in finding.problem]
    assert (broken.severity, broken.file) == ("warning", shard)
    assert broken.problem.startswith("model.layers.0.mlp.up_proj.weight holds")
    assert broken.found == "2 NaN, 2 infinite, of 8"


def test_what_later_tools_choke_on_is_a_warning(folder: Path) -> None:
    found = audit(folder, Silent())
    assert "There is no chat template." in {each.problem for each in found.findings if each.severity == "warning"}


def test_an_adapter(tmp_path: Path) -> None:
    files = {"adapter_config.json": b'{"peft_type": "LORA"}'}
    files["adapter_model.safetensors"] = save({"a.lora_A.weight": np.ones((2, 2), np.float32)})
    found = audit(write_files(tmp_path / "adapter", files | {"optimizer.pt": b""}), Silent())
    assert not found.is_refused
    assert [finding.file for finding in found.findings] == ["optimizer.pt"]


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such folder"):
        audit(tmp_path / "nothing", Silent())
