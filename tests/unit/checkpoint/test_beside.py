from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from suture.checkpoint.inspection.beside import FieldDifference, FileDifference, compare_configs, compare_files
from suture.checkpoint.reader import Checkpoint, open_checkpoint


def checkpoint(folder: Path, config: dict[str, Any], files: dict[str, str]) -> Checkpoint:
    folder.mkdir()
    save_file({"a": torch.ones(1)}, folder / "model.safetensors")
    for name, content in (files | {"config.json": json.dumps(config)}).items():
        (folder / name).write_text(content)
    return open_checkpoint(folder)


def test_fields_are_compared_within_sections(tmp_path: Path) -> None:
    a = checkpoint(
        tmp_path / "a",
        {"text_config": {"rope_theta": 1.0, "x": [1]}, "y": 1, "transformers_version": "4", "z": None},
        {},
    )
    b = checkpoint(tmp_path / "b", {"text_config": {"rope_theta": 2.0, "x": [1]}, "transformers_version": "5"}, {})
    assert compare_configs(a, b) == (
        FieldDifference("text_config.rope_theta", 1.0, 2.0),
        FieldDifference("y", 1, None),
    )


def test_files_that_belong_to_the_model_are_compared_by_content(tmp_path: Path) -> None:
    a = checkpoint(
        tmp_path / "a", {}, {"tokenizer.json": "1", "merges.txt": "1", "vocab.json": "1", "README.md": "1"}
    )
    b = checkpoint(tmp_path / "b", {}, {"tokenizer.json": "2", "merges.txt": "1", "chat_template.jinja": "1"})
    assert compare_files(a, b) == (
        FileDifference("chat_template.jinja", "only in the second"),
        FileDifference("tokenizer.json", "differs"),
        FileDifference("vocab.json", "only in the first"),
    )
