"""Each problem is made in an otherwise sound checkpoint: it is found, and it alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from suture.checkpoint.inspection import inspect_checkpoint
from suture.progress import Silent

Tensors = dict[str, torch.Tensor]
Config = dict[str, Any]
FULL, LINEAR = "full_attention", "linear_attention"
MIXERS = {FULL: "self_attn.q_proj", LINEAR: "linear_attn.in_proj_qkv"}


class Draft:
    """A sound multimodal checkpoint of four layers, to be spoilt."""

    def __init__(self) -> None:
        types = [LINEAR, LINEAR, LINEAR, FULL]
        text: Config = {
            "num_hidden_layers": 4,
            "layer_types": list(types),
            "vocab_size": 8,
            "mtp_num_hidden_layers": 1,
            "tie_word_embeddings": False,
        }
        self.config: Config = {
            "architectures": ["X"],
            "dtype": "bfloat16",
            "text_config": text,
            "vision_config": {"depth": 1},
        }
        prefix = "model.language_model.layers"
        self.tensors: Tensors = {f"{prefix}.{i}.{MIXERS[t]}.weight": torch.ones(4, 4) for i, t in enumerate(types)}
        self.tensors |= {f"{prefix}.{i}.mlp.up_proj.weight": torch.ones(4, 4) for i in range(4)}
        self.tensors |= {
            "model.language_model.embed_tokens.weight": torch.ones(8, 4),
            "lm_head.weight": torch.ones(8, 4),
            "model.visual.blocks.0.qkv.weight": torch.ones(3),
            "mtp.layers.0.fc.weight": torch.ones(3),
        }
        self.tensors = {name: tensor.bfloat16() for name, tensor in self.tensors.items()}
        self.files: dict[str, Config] = {
            "tokenizer.json": {"model": {"vocab": {"a": 0, "b": 6}}, "added_tokens": [{"id": 7}]},
            "tokenizer_config.json": {"chat_template": "{{ messages }}"},
            "preprocessor_config.json": {},
        }

    @property
    def text(self) -> Config:
        return self.config["text_config"]

    def write(self, folder: Path) -> None:
        save_file(self.tensors, folder / "model.safetensors", metadata={"format": "pt"})
        for name, content in (self.files | {"config.json": self.config}).items():
            (folder / name).write_text(json.dumps(content))


def found_in(draft: Draft, folder: Path, *, weights: bool = False) -> list[tuple[str, str]]:
    draft.write(folder)
    problems = inspect_checkpoint(folder, Silent(), weights=weights).problems
    return [(problem.severity, problem.what) for problem in problems]


def interleave(draft: Draft) -> None:
    """Each layer twice in a row, the layer types merely doubled: A0 A0 A1 A1 ... under LLLF LLLF."""
    prefix = "model.language_model.layers."
    layers = {name: tensor for name, tensor in draft.tensors.items() if name.startswith(prefix)}
    for name in layers:
        del draft.tensors[name]
    for name, tensor in layers.items():
        number, rest = name.removeprefix(prefix).split(".", 1)
        for copy in range(2):
            draft.tensors[f"{prefix}{2 * int(number) + copy}.{rest}"] = tensor.clone()
    draft.text["layer_types"] *= 2
    draft.text["num_hidden_layers"] = 8


def drop(prefix: str) -> Callable[[Draft], None]:
    def spoil(draft: Draft) -> None:
        draft.tensors = {name: tensor for name, tensor in draft.tensors.items() if not name.startswith(prefix)}

    return spoil


def without(file: str) -> Callable[[Draft], None]:
    return lambda draft: draft.files.pop(file) and None


def text(**fields: Any) -> Callable[[Draft], None]:
    return lambda draft: draft.text.update(fields)


def config(**fields: Any) -> Callable[[Draft], None]:
    return lambda draft: draft.config.update(fields)


def recast(end: str, dtype: torch.dtype) -> Callable[[Draft], None]:
    def spoil(draft: Draft) -> None:
        for name, tensor in draft.tensors.items():
            if name.endswith(end):
                draft.tensors[name] = tensor.to(dtype)

    return spoil


def test_a_sound_checkpoint_has_no_problems(tmp_path: Path) -> None:
    assert found_in(Draft(), tmp_path, weights=True) == []


@pytest.mark.parametrize(
    ("spoil", "severity", "what"),
    [
        (without("tokenizer.json"), "error", "tokenizer.json is missing"),
        (without("tokenizer_config.json"), "error", "tokenizer_config.json is missing"),
        (lambda draft: draft.files.update({"tokenizer_config.json": {}}), "warning", "no chat template"),
        (without("preprocessor_config.json"), "error", "preprocessor_config.json is missing"),
        (drop("model.visual"), "warning", "no tensors of a vision tower"),
        (drop("mtp"), "error", "mtp_num_hidden_layers is 1, and there are no such tensors"),
        (text(mtp_num_hidden_layers=0), "warning", "the config does not count them"),
        (text(num_hidden_layers=2), "error", "have 4 layers (model.language_model.layers)"),
        (text(layer_types=[LINEAR] * 3), "error", "layer_types has 3 entries for 4 layers"),
        (text(hybrid_override_pattern="M*M"), "error", "hybrid_override_pattern has 3 entries"),
        (text(vocab_size=9), "error", "embedding has 8 rows, vocab_size is 9"),
        (
            lambda draft: draft.files["tokenizer.json"].update(added_tokens=[{"id": 8}]),
            "error",
            "tokens up to number 8, the embedding 8 rows",
        ),
        (
            lambda draft: draft.files["tokenizer.json"].update(model={"vocab": [["a", 0.0]] * 12}),
            "error",
            "tokens up to number 11",
        ),
        (drop("lm_head"), "error", "there is no lm_head"),
        (config(architectures=None), "error", "names no architectures"),
        (config(quantization_config={"bits": 4}), "warning", "quantization_config"),
        (config(dtype="float16"), "warning", "The config says float16, most tensors are BF16"),
        (recast("qkv.weight", torch.float32), "note", "4 tensors are F32 (in_proj_qkv, qkv), most are BF16"),
        (recast("3.mlp.up_proj.weight", torch.int8), "warning", "1 tensors are I8"),
    ],
)  # fmt: skip
def test_a_problem_is_found_first(spoil: Callable[[Draft], None], severity: str, what: str, tmp_path: Path) -> None:
    draft = Draft()
    spoil(draft)
    found = found_in(draft, tmp_path)
    assert any(each[0] == severity and what in each[1] for each in found), found
    assert len(found) == 1 or what.startswith(("have 4 layers", "1 tensors are I8")), found


def test_layer_types_that_do_not_fit_the_tensors_are_found(tmp_path: Path) -> None:
    draft = Draft()
    interleave(draft)
    found = found_in(draft, tmp_path)
    assert [severity for severity, _ in found] == ["error", "error"]
    assert "0-2, 4-5 hold linear_attn; 6 hold self_attn" in found[0][1]
    assert "3 hold linear_attn; 7 hold self_attn" in found[1][1]


def test_a_dtype_that_changes_from_layer_to_layer_is_found(tmp_path: Path) -> None:
    draft = Draft()
    name = "model.language_model.layers.1.linear_attn.in_proj_qkv.weight"
    draft.tensors[name] = draft.tensors[name].float()
    assert "linear_attn.in_proj_qkv.weight is BF16 in some layers, F32 in others." in {
        what: severity for severity, what in found_in(draft, tmp_path)
    }


def test_nan_and_infinities_are_found_if_the_weights_are_read(tmp_path: Path) -> None:
    draft = Draft()
    draft.tensors["lm_head.weight"][0, :3] = torch.tensor([float("nan"), float("inf"), -float("inf")])
    assert found_in(draft, tmp_path) == []
    assert found_in(draft, tmp_path, weights=True) == [("error", "The weights hold 1 NaN and 2 infinities.")]


def test_a_tokenizer_that_is_no_json_is_a_problem_not_an_end(tmp_path: Path) -> None:
    Draft().write(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    (problem,) = inspect_checkpoint(tmp_path, Silent()).problems
    assert "tokenizer.json cannot be used" in problem.what


def test_weights_beside_the_index_are_noted(tmp_path: Path) -> None:
    assert found_in(Draft(), tmp_path) == []
    save_file({"a": torch.ones(1)}, tmp_path / "consolidated.safetensors")
    (problem,) = inspect_checkpoint(tmp_path, Silent()).problems
    assert (problem.severity, "consolidated.safetensors" in problem.what) == ("note", True)
