from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from pydantic import JsonValue
from safetensors.numpy import save_file

import suture
from suture.errors import CheckpointError, SourceError
from suture.gguf.convert import Provenance, SourceCredit, check, parse_writing, stamp_values

LLAMA: dict[str, JsonValue] = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": 1}
MTP = ("mtp.fc.weight", "mtp.layers.0.mlp.up_proj.weight", "mtp.norm.weight")


def qwen_with(**stated: JsonValue) -> dict[str, JsonValue]:
    """Return a Qwen 3.5 config that states this in the part about the language model."""
    return {
        "architectures": ["Qwen3_5ForConditionalGeneration"],
        "model_type": "qwen3_5",
        "text_config": {"num_hidden_layers": 1, **stated},
    }


def checkpoint(folder: Path, config: Mapping[str, JsonValue], extra: tuple[str, ...] = ()) -> Path:
    names = ("model.layers.0.mlp.up_proj.weight", *extra)
    save_file({name: np.zeros((2, 2), np.float32) for name in names}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text("{}")
    return folder


def test_a_plain_checkpoint_needs_no_options(tmp_path: Path) -> None:
    assert check(checkpoint(tmp_path, LLAMA)) == ()


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_missing_tokenizer_file_is_named(tmp_path: Path, name: str) -> None:
    (checkpoint(tmp_path, LLAMA) / name).unlink()
    with pytest.raises(SourceError) as caught:
        check(tmp_path)
    assert name in str(caught.value.found)


def test_python_code_in_a_checkpoint_is_refused(tmp_path: Path) -> None:
    (checkpoint(tmp_path, LLAMA) / "tokenization_own.py").write_text("raise SystemExit")
    with pytest.raises(SourceError) as caught:
        check(tmp_path)
    assert caught.value.found == "tokenization_own.py"


def test_prediction_layers_that_agree_are_converted(tmp_path: Path) -> None:
    assert check(checkpoint(tmp_path, qwen_with(mtp_num_hidden_layers=1), MTP)) == ()


@pytest.mark.parametrize("stated", [0, 1, 2])
def test_without_their_tensors_the_converter_is_told_to_leave_them_out(tmp_path: Path, stated: int) -> None:
    assert check(checkpoint(tmp_path, qwen_with(mtp_num_hidden_layers=stated))) == ("--no-mtp",)


def test_an_architecture_that_knows_no_such_option_gets_none(tmp_path: Path) -> None:
    assert check(checkpoint(tmp_path, LLAMA | {"mtp_num_hidden_layers": 1})) == ()


def test_a_config_silent_about_them_is_no_contradiction(tmp_path: Path) -> None:
    assert check(checkpoint(tmp_path, qwen_with(), MTP)) == ()


def test_another_number_than_the_config_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        check(checkpoint(tmp_path, qwen_with(mtp_num_hidden_layers=2), MTP))
    assert caught.value.found == "tensors of 1"


def test_the_sources_are_written_in_one_way() -> None:
    credit = SourceCredit(name="a", model="owner/model", commit="c" * 40, licence="apache-2.0")
    values = stamp_values(Provenance(name="m", recipe="r", sources=(credit, credit)), "k" * 64)
    row = '{"commit":"' + "c" * 40 + '","licence":"apache-2.0","model":"owner/model","name":"a"}'
    assert values == {
        "suture.key": "k" * 64,
        "suture.recipe": "r",
        "suture.name": "m",
        "suture.sources": f"[{row},{row}]",
        "suture.version": suture.__version__,
    }


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Writing:  21%|██        | 56.6M/269M [00:00<00:02, 102Mbyte/s]", (56.6e6, 269e6)),
        ("Writing:   0%|          | 0.00/36.5G [00:00<?, ?byte/s]", (0.0, 36.5e9)),
        ("Writing: 100%|██████████| 812k/812k [00:00<00:00, 65.3Mbyte/s]", (812e3, 812e3)),
        ("INFO:hf-to-gguf:blk.0.attn_norm.weight,      torch.bfloat16 --> F32, shape = {576}", None),
        ("INFO:gguf.gguf_writer:Writing the following files:", None),
    ],
)
def test_the_converters_progress(line: str, expected: tuple[float, float] | None) -> None:
    assert parse_writing(line) == (None if expected is None else pytest.approx(expected))
