from __future__ import annotations

import json
from pathlib import Path

from suture.checkpoint.companions import copy_companions, is_companion, write_config
from suture.checkpoint.layout import read_layout


def test_what_goes_with_the_weights() -> None:
    going = ["tokenizer.json", "tokenizer.model", "chat_template.jinja", "generation_config.json", "LICENSE.txt"]
    staying = [
        "README.md",
        "config.json",
        "manifest.json",
        "model.safetensors",
        "model.safetensors.index.json",
        "modeling_x.py",
        "pytorch_model.bin",
        "adapter_config.json",
    ]
    assert [name for name in going + staying if is_companion(name)] == going


def test_companions_are_copied_as_they_are(folder: Path, tmp_path: Path) -> None:
    (folder / "chat_template.jinja").write_bytes(b"{{ messages }}\r\n")
    (folder / "README.md").write_text("about another model")
    (folder / "additional_chat_templates").mkdir()
    target = tmp_path / "target"
    target.mkdir()
    copy_companions(folder, read_layout(folder), target)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {
        "chat_template.jinja": b"{{ messages }}\r\n",
        "tokenizer.json": b"{}",
        "tokenizer_config.json": b"{}",
    }


def test_a_config_is_written_with_its_infinities(tmp_path: Path) -> None:
    config = {"b": [0.0, float("inf")], "a": "ä"}
    write_config(config, tmp_path)
    text = (tmp_path / "config.json").read_text()
    assert json.loads(text) == config
    assert text.index('"a"') < text.index('"b"')
