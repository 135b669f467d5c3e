from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from suture.errors import SourceError
from suture.merge.verify import StackedFrom, verify
from tests.integration.run_merge import run_merge
from tests.integration.tiny_models import tiny_config, write_model

ORIGINS = [("a", 0), ("a", 1), ("a", 2), ("b", 1), ("b", 2), ("b", 3)]


@pytest.fixture
def stack(tmp_path: Path) -> tuple[Path, StackedFrom]:
    """A stack of Qwen3 layers that attend in windows or not, off the rhythm of the sources."""
    folders = {name: tmp_path / name for name in "ab"}
    for seed, folder in enumerate(folders.values()):
        write_model(folder, tiny_config("qwen3"), "Qwen3ForCausalLM", seed)
    slices = [{"source": "a", "layers": [0, 3]}, {"source": "b", "layers": [1, 4]}]
    run_merge({"method": "passthrough", "base": "a", "slices": slices}, folders, tmp_path / "stack")
    return tmp_path / "stack", StackedFrom(folders, "a", ORIGINS)


def change_config(folder: Path, **fields: Any) -> None:
    config = json.loads((folder / "config.json").read_text()) | fields
    (folder / "config.json").write_text(json.dumps(config))


def change_tensors(folder: Path, **tensors: torch.Tensor | None) -> None:
    held: dict[str, Any] = load_file(folder / "model.safetensors") | tensors
    save_file({name: held[name] for name in held if held[name] is not None}, folder / "model.safetensors")


def test_an_exact_stack(stack: tuple[Path, StackedFrom]) -> None:
    folder, made_of = stack
    found = verify(folder, made_of, for_real=True)
    assert (found.is_exact, found.model, found.finite) == (True, "Qwen3ForCausalLM", True)


def test_keys_and_shapes(stack: tuple[Path, StackedFrom]) -> None:
    folder, _ = stack
    lost, odd, mtp = "model.layers.4.mlp.up_proj.weight", "model.norm.weight", "mtp.norm.weight"
    change_tensors(
        folder, **{lost: None, odd: torch.ones(3), "model.layers.1.extra": torch.ones(1), mtp: torch.ones(1)}
    )
    found = verify(folder)
    assert found.missing == (lost,)
    assert found.unexpected == ("model.layers.1.extra",)
    assert found.mismatched == (odd,)
    assert found.ignored == (mtp,)
    assert (found.is_exact, found.finite) == (False, None)


def test_a_layer_of_the_wrong_kind_loads_and_is_found(stack: tuple[Path, StackedFrom]) -> None:
    folder, made_of = stack
    kinds = json.loads((folder / "config.json").read_text())["layer_types"]
    change_config(folder, layer_types=[*kinds[:3], "full_attention", *kinds[4:]][::-1])
    found = verify(folder, made_of)
    assert found.missing == found.unexpected == found.mismatched == ()
    assert "model.layers.0, layer 0 of a: self_attn.sliding_window is 4, was None" in found.differences


def test_a_number_of_layers_that_does_not_fit(stack: tuple[Path, StackedFrom]) -> None:
    folder, made_of = stack
    change_config(folder, num_hidden_layers=5, layer_types=["full_attention"] * 5)
    found = verify(folder, made_of)
    assert found.differences == ("no list of 6 layers where a has 4",)


def test_numbers_that_are_none_are_found(stack: tuple[Path, StackedFrom]) -> None:
    folder, made_of = stack
    change_tensors(folder, **{"model.norm.weight": torch.full((32,), torch.nan)})
    assert verify(folder, made_of).is_exact
    found = verify(folder, made_of, for_real=True)
    assert (found.finite, found.is_exact) == (False, False)


@pytest.mark.parametrize("fields", [{"model_type": "no_such_type"}, {"layer_types": ["full_attention"]}])
def test_a_config_that_transformers_cannot_use(fields: dict[str, Any], stack: tuple[Path, StackedFrom]) -> None:
    folder, _ = stack
    change_config(folder, **fields)
    with pytest.raises(SourceError, match="transformers cannot build the model"):
        verify(folder)
