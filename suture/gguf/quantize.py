"""GGUF -> smaller GGUF, by llama-quantize."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

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

    Args:
        spec: What to quantize to.
        parents: The artifact with the GGUF, and the one with its importance matrix where there is one.
        work: Receives model.gguf and a log.
        progress: Gets the tensors.

    Raises:
        ProcessError: When llama-quantize fails.
    """
    source, *matrix = (parent.only(".gguf") for parent in parents)
    return write_quantized(source, spec.type, work, progress, *matrix)


def write_quantized(
    source: Path, type_: QuantType, work: Workspace, progress: Progress, imatrix: Path | None = None
) -> dict[str, JsonValue]:
    """Quantize a GGUF on this machine to `work.out`, weighted by an importance matrix where one is given."""
    model = (work.out / "model.gguf").absolute()
    # The tool writes the matrix's path into the file: its name alone is the same everywhere.
    weighted = ("--imatrix", imatrix.name) if imatrix else ()

    def show(line: str) -> None:
        tensors = parse_tensors(line)
        if tensors is not None:
            progress.update(*tensors, "tensors")

    completed = run_tool(
        [
            toolchain.ensure(progress).binary("llama-quantize").absolute(),
            *("--override-kv", f"{metadata.KEY}=str:{work.key}"),
            *weighted,
            *(source.absolute(), model, type_, str(settings().threads)),
        ],
        log=work.out / "quantize.log",
        doing=f"quantizing to {type_}",
        on_line=show,
        cwd=imatrix.parent if imatrix else None,
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
