"""Small real GGUFs, and a second, plain reader of them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9


@dataclass(frozen=True)
class Parsed:
    """A GGUF as a plain second reader sees it: values with their types, tensor infos, the data region."""

    values: dict[str, tuple[int, Any]]
    tensors: dict[str, tuple[tuple[int, ...], int, int]]
    data_offset: int
    data: bytes


def parse(path: Path) -> Parsed:
    content = path.read_bytes()
    position = 0

    def take(form: str) -> Any:
        nonlocal position
        (value,) = struct.unpack_from(f"<{form}", content, position)
        position += struct.calcsize(form)
        return value

    def text() -> str:
        nonlocal position
        length = take("Q")
        position += length
        return content[position - length : position].decode()

    def value(kind: int) -> Any:
        if kind == STRING:
            return text()
        if kind == ARRAY:
            inner = take("I")
            return inner, [value(inner) for _ in range(take("Q"))]
        return take(SCALARS[kind])

    assert take("4s") == b"GGUF"
    assert take("I") == 3
    tensors, count = take("Q"), take("Q")
    values = {text(): (kind := take("I"), value(kind)) for _ in range(count)}
    infos = {text(): (tuple(take("Q") for _ in range(take("I"))), take("I"), take("Q")) for _ in range(tensors)}
    alignment = values.get("general.alignment", (4, 32))[1]
    start = -(-position // alignment) * alignment
    return Parsed(values, infos, start, content[start:])


def write_gguf(path: Path, *, alignment: int = 32, tensors: dict[str, np.ndarray] | None = None) -> Path:
    """Write a GGUF with every kind of value, and tensors of odd sizes."""
    writer = gguf.GGUFWriter(path, "llama")
    if alignment != 32:
        writer.add_custom_alignment(alignment)
    writer.add_name("before")
    writer.add_uint32("llama.block_count", 2)
    writer.add_float32("llama.rope.freq_base", 0.1)
    writer.add_bool("tokenizer.ggml.add_bos_token", True)
    writer.add_float64("test.double", 1e-300)
    writer.add_int64("test.long", -(2**60))
    writer.add_array("tokenizer.ggml.tokens", ["<s>", "Ġ ü", "", *map(str, range(20))])
    writer.add_array("tokenizer.ggml.scores", [0.5, -1.25])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    for name, array in (tensors if tensors is not None else some_tensors()).items():
        writer.add_tensor(name, array)
    writer.add_tensor(
        "blk.0.quantized.weight",
        gguf.quantize(np.linspace(-1, 1, 96, dtype=np.float32).reshape(3, 32), gguf.GGMLQuantizationType.Q8_0),
        raw_dtype=gguf.GGMLQuantizationType.Q8_0,
    )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def some_tensors() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "token_embd.weight": random.standard_normal((5, 7)).astype(np.float32),
        "blk.0.norm.weight": random.standard_normal(3).astype(np.float16),
        "blk.0.cube.weight": random.standard_normal((2, 3, 5)).astype(np.float32),
    }
