from __future__ import annotations

from typing import get_args

import pytest
from gguf import LlamaFileType

from suture.gguf.quantize import parse_fallbacks, parse_tensors
from suture.recipe import QuantType


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[   1/ 272] token_embd.weight   - [   576,  49152,      1,      1], type =   bf16, converting", (1, 272)),
        (
            "[1234/1500] blk.9.ffn_up.weight - [   576,   1536,      1,      1], type =   bf16, converting",
            (1234, 1500),
        ),
        ("llama_model_loader: - kv   0:   general.architecture str = llama", None),
        ("warning: blk.0.attn_k.weight - ncols 576 not divisible by 256 (required for type q4_K)", None),
    ],
)
def test_the_tools_progress(line: str, expected: tuple[int, int] | None) -> None:
    assert parse_tensors(line) == expected


def test_fallbacks_are_counted_by_the_tool() -> None:
    assert parse_fallbacks("x\nllama: WARNING: 180 of 272 tensor(s) required fallback quantization\n") == 180
    assert parse_fallbacks("llama_model_quantize_impl: quant size  =    98.87 MiB (6.17 BPW)\n") == 0


def test_every_type_a_recipe_may_ask_for_is_one_that_llama_cpp_has() -> None:
    assert {f"MOSTLY_{type_}" for type_ in get_args(QuantType)} <= set(LlamaFileType.__members__)
