"""What a plan makes of a heal: the merge's adapter as asked for, the control's like any other training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from suture.errors import RecipeError
from suture.heal.data.dataset import DatasetSpec
from suture.heal.train import Gates, TrainSpec
from suture.plan import Plan, resolve
from suture.recipe import parse_recipe
from suture.steps import PlannedStep

LAYERS, WIDTH = 4, 16


@pytest.fixture(autouse=True)
def _no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suture.plan.arms.expected_version", lambda: "llama.cpp of this test")


def write_model(folder: Path) -> None:
    folder.mkdir()
    names = [
        f"model.layers.{layer}.self_attn.{part}.weight" for layer in range(LAYERS) for part in ("q_proj", "o_proj")
    ]
    tensors = {name: np.ones((WIDTH, WIDTH), np.float32) for name in (*names, "model.embed_tokens.weight")}
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")
    config = {"model_type": "llama", "num_hidden_layers": LAYERS, "hidden_size": WIDTH, "vocab_size": WIDTH}
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer = {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text("{}")


def plan_of(folder: Path, merge: dict[str, Any] | None = None, **heal: object) -> Plan:
    for name in "ab":
        write_model(folder / name)
    (folder / "text.txt").write_text("\n\n".join(f"Passage number {number}." for number in range(100)))
    text = [{"text": str(folder / "text.txt")}]
    slices = [{"source": "a", "layers": [0, 3]}, {"source": "b", "layers": [1, 4]}]
    content = {
        "name": "healed",
        "sources": [{"name": name, "model": str(folder / name)} for name in "ab"],
        "merge": merge or {"method": "passthrough", "base": "a", "slices": slices},
        "heal": {"data": text, **heal},
        "benchmark": {"perplexity": {"texts": text}},
    }
    return resolve(parse_recipe(content, where="recipe", folder=folder))


def step(plan: Plan, label: str) -> PlannedStep:
    return next(step for step in plan.steps if step.label == label)


def spec(plan: Plan, label: str) -> TrainSpec:
    found = step(plan, label).spec
    assert isinstance(found, TrainSpec)
    return found


def test_the_adapter_of_the_merge_alone_knows_seams_and_gates(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, layers="seam", seam_layers=1, start="gated")
    healed, control = spec(plan, "heal healed"), spec(plan, "finetune control")
    assert healed.layers == (2, 3)
    assert healed.gates == Gates(layers=(3, 4), start=0.25, learning_rate=0.02)
    assert (control.layers, control.gates) == (None, None)
    assert control.model_copy(update={"layers": healed.layers, "gates": healed.gates}) == healed


def test_an_adapter_on_fewer_layers_is_smaller(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    (tmp_path / "seam").mkdir()
    whole = step(plan_of(tmp_path / "all"), "heal healed").size
    near = step(plan_of(tmp_path / "seam", layers="seam", seam_layers=1), "heal healed").size
    assert whole == 3 * near  # six layers, and two


def test_a_blend_has_no_seam(tmp_path: Path) -> None:
    blend = {"method": "linear", "base": "a", "models": [{"source": "a"}, {"source": "b"}]}
    with pytest.raises(RecipeError, match=r"heal\.layers"):
        plan_of(tmp_path, blend, layers="seam")


@pytest.mark.parametrize(
    ("heal", "batch", "held_out"),
    [
        ({"batch_size": 3}, 3, 0),
        ({"batch_size": 3, "group_by_length": False}, 1, 0),
        ({"evaluate_every": 10, "held_out": 5, "patience": 2}, 2, 5),
    ],
)
def test_the_data_are_made_for_how_they_are_read(
    tmp_path: Path, heal: dict[str, object], batch: int, held_out: int
) -> None:
    made = step(plan_of(tmp_path, **heal), "dataset heal").spec
    assert isinstance(made, DatasetSpec)
    assert (made.batch, made.held_out) == (batch, held_out)
