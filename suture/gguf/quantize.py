"""GGUF -> smaller GGUF, by llama-quantize."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from suture.gguf import metadata, toolchain
from suture.gguf.runner import run_tool
from suture.progress import Progress
from suture.recipe import Part, QuantType
from suture.settings import settings
from suture.store import Artifact, Workspace


class QuantizeSpec(Part):
    """What to quantize to."""

    type: QuantType
    """As llama.cpp names the mix."""


def quantize(
    spec: QuantizeSpec, parents: Sequence[Artifact], work: Workspace, progress: Progress
) -> Mapping[str, JsonValue]:
    """Quantize a GGUF; its metadata goes along, but for the key, which becomes this artifact's.

    Raises:
        ProcessError: When llama-quantize fails.
    """
    (source,) = parents
    model = work.out / "model.gguf"

    def show(line: str) -> None:
        tensors = parse_tensors(line)
        if tensors is not None:
            progress.update(*tensors, "tensors")

    completed = run_tool(
        [
            toolchain.ensure(progress).binary("llama-quantize"),
            *("--override-kv", f"{metadata.KEY}=str:{work.key}"),
            *(source.only(".gguf"), model, spec.type, str(settings().threads)),
        ],
        log=work.out / "quantize.log",
        doing=f"quantizing to {spec.type}",
        on_line=show,
    )
    summary = metadata.read(model)
    return {
        "size_bytes": summary.size,
        "type": summary.type,
        "bits_per_weight": round(summary.bits_per_weight, 4),
        "tensors": summary.tensors,
        "fallback_tensors": parse_fallbacks(completed.output),
    }


def parse_tensors(line: str) -> tuple[int, int] | None:
    """Return (tensors done, tensors in all) from a line such as `[ 12/ 272] blk.1.ffn_up.weight - ...`."""
    match = re.match(r"\[ *(\d+)/ *(\d+)\] ", line)
    return match and (int(match[1]), int(match[2]))


def parse_fallbacks(output: str) -> int:
    """Return how many tensors got another type because their rows do not divide into blocks."""
    match = re.search(r"(\d+) of \d+ tensor\(s\) required fallback", output)
    return int(match[1]) if match else 0
