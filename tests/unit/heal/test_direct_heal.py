"""`suture heal`: a look at the training data, and the healed merge alone; a stack of the pico model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rich.console import Console
from safetensors.numpy import load_file
from typer.testing import CliRunner

from suture.checkpoint.reader import open_checkpoint
from suture.cli import app
from suture.direct_heal import preview_data
from suture.errors import RecipeError
from suture.heal.dry_run import Estimate
from suture.progress import Silent
from suture.recipe import load_recipe
from suture.show.heal import estimate_table

TEMPLATE = """\
{%- for m in messages -%}{{ '[' + m.role + ']\\n' + m.content + '\\n' }}{%- endfor -%}
{%- if add_generation_prompt -%}{{ '[assistant]\\n' }}{%- endif -%}"""


@pytest.fixture
def recipe(tmp_path: Path, pico: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SUTURE_STORE", str(tmp_path / "store"))
    monkeypatch.setattr("suture.plan.arms.expected_version", lambda: "llama.cpp of this test")
    model = tmp_path / "model"
    model.mkdir()
    for file in pico.iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    (model / "chat_template.jinja").write_text(TEMPLATE)
    talk = [{"role": "user", "content": "one \x1b[31m two"}, {"role": "assistant", "content": "three"}]
    (tmp_path / "talk.jsonl").write_text(json.dumps({"messages": talk}) + "\n")
    (tmp_path / "text.txt").write_text("\n\n".join(f"Passage number {number}." for number in range(100)))
    content: dict[str, Any] = {
        "name": "stack",
        "sources": [{"name": "a", "model": str(model)}],
        "merge": {
            "method": "passthrough",
            "base": "a",
            "slices": [{"source": "a", "layers": [0, 2]}, {"source": "a", "layers": [1, 3]}],
        },
        "heal": {
            "data": [{"text": "./talk.jsonl"}],
            "method": "lora",
            "rank": 2,
            "steps": 2,
            "warmup_steps": 0,
            "learning_rate": 0.01,
            "sequence_length": 64,
            "start": "gated",
            "layers": "seam",
            "seam_layers": 1,
        },
        "benchmark": {"perplexity": {"texts": [{"text": "./text.txt"}]}},
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_the_preview_tells_what_is_learned_from_what_is_read(recipe: Path) -> None:
    preview = preview_data(load_recipe(recipe), 1, Silent())
    (row,) = preview.rows
    assert [(piece.text, piece.learned) for piece in row] == [
        ("[user]\none \x1b[31m two\n[assistant]\n", False),
        ("three", True),
        ("\n", False),
    ]
    (part,) = preview.parts
    assert part.learned_tokens == 16 * row[1].tokens


def test_the_preview_commands_no_terminal(recipe: Path) -> None:
    shown = CliRunner().invoke(app, ["heal", str(recipe), "--preview", "--samples", "1"])
    assert shown.exit_code == 0, shown.output
    assert "talk.jsonl" in shown.output
    assert "three" in shown.output
    assert "\x1b[31m" not in shown.output
    as_data = CliRunner().invoke(app, ["heal", str(recipe), "--preview", "--samples", "2", "--json"])
    assert [len(row) for row in json.loads(as_data.stdout)["rows"]] == [3, 3]


def test_the_merge_is_healed_without_anything_else(recipe: Path) -> None:
    done = CliRunner().invoke(app, ["heal", str(recipe)])
    assert done.exit_code == 0, done.output
    healed = open_checkpoint(Path(done.stdout.strip().splitlines()[-1]))
    assert healed.layout.layers == 4
    steps = {json.loads(path.read_text())["step"] for path in recipe.parent.glob("store/**/manifest.json")}
    assert steps == {"fetch", "merge", "dataset", "heal", "fuse"}


def test_a_recipe_that_heals_nothing_is_refused(recipe: Path) -> None:
    content = yaml.safe_load(recipe.read_text())
    del content["heal"]
    recipe.write_text(yaml.safe_dump(content))
    with pytest.raises(RecipeError, match="heals nothing"):
        preview_data(load_recipe(recipe), 1, Silent())


def test_a_dry_run_tells_what_the_training_takes_and_trains_nothing(recipe: Path) -> None:
    content = yaml.safe_load(recipe.read_text())
    changes = {"data": [{"text": "./talks.jsonl"}], "steps": 50, "evaluate_every": 20, "patience": 1, "held_out": 3}
    content["heal"] |= changes
    recipe.write_text(yaml.safe_dump(content))
    talks = [f"{number}: " + "word " * (1 + number % 9) for number in range(300)]
    rows = [[{"role": "user", "content": "?"}, {"role": "assistant", "content": talk}] for talk in talks]
    (recipe.parent / "talks.jsonl").write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
    done = CliRunner().invoke(app, ["heal", str(recipe), "--dry-run", "--json"])
    assert done.exit_code == 0, done.output
    estimate = Estimate.model_validate_json(done.stdout[done.stdout.index("{") :])
    made = {
        json.loads(path.read_text())["step"]: path.parent for path in recipe.parent.glob("store/**/manifest.json")
    }
    assert made.keys() == {"fetch", "merge", "dataset"}
    lengths = load_file(made["dataset"] / "train.safetensors")["lengths"]
    batches, longest = lengths.reshape(-1, 2), np.sort(lengths)[::-1][:8].reshape(-1, 2)
    read, read_there = (int(2 * part.max(axis=1).sum()) for part in (batches, longest))
    assert estimate.longest_row == lengths.max()
    assert estimate.hours * 3600 > estimate.seconds_per_step * read / read_there  # held-out loss besides
    assert estimate.seconds_per_step * estimate.tokens_per_second == pytest.approx(longest.sum())
    assert 10**8 < estimate.memory_bytes < estimate.device_memory_bytes
    assert 0 < estimate.disk_bytes < 10**7 < estimate.free_disk_bytes
    console = Console(record=True, width=100)
    console.print(estimate_table(estimate))
    assert "all 50 steps" in console.export_text()
