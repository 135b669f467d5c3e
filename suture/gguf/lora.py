"""Adapter -> GGUF LoRA, by llama.cpp's converter: served beside the quantized model instead of fused into it.

What it adds stays as exact as it was trained, whatever the model beside it is quantized to. llama.cpp adds
(alpha / rank) * B A x to each projection's output, at the cost of two small products more per projection.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from suture.checkpoint.layers import section_path
from suture.checkpoint.layout import read_layout
from suture.gguf import metadata, toolchain
from suture.gguf.convert import Provenance, converter_environment, mtp_options, stamp_values
from suture.gguf.runner import run_tool
from suture.progress import Progress
from suture.recipe import Part
from suture.store import Artifact, Workspace


class ConvertLoraSpec(Part):
    """What to convert to, and what to write into the file."""

    type: Literal["f16"]
    """Type of the factors: half of what they are trained in, and far finer than a quantized weight."""
    provenance: Provenance
    """Where the model that it belongs to came from."""


def convert_lora(
    spec: ConvertLoraSpec, parents: Sequence[Artifact], work: Workspace, progress: Progress
) -> Mapping[str, JsonValue]:
    """Convert an adapter.

    Args:
        spec: What to convert to.
        parents: The checkpoint that it was trained on, and the adapter.
        work: Receives lora.gguf and a log.
        progress: Gets the bytes.

    Raises:
        ToolError: When the llama.cpp in use comes without that converter.
        ProcessError: When it fails: of an architecture that llama.cpp does not know, for instance.
    """
    checkpoint, adapter = (parent.path for parent in parents)
    raw = _run_converter(checkpoint, adapter, spec, work, progress)
    lora = work.out / "lora.gguf"
    metadata.stamp(raw, lora, stamp_values(spec.provenance, work.key), progress)
    raw.unlink()
    summary = metadata.read(lora)
    (share,) = summary.types  # an adapter's file has no type of its own
    return {"tensors": summary.tensors, "size_bytes": summary.size, "type": share.type}


def _run_converter(
    checkpoint: Path, adapter: Path, spec: ConvertLoraSpec, work: Workspace, progress: Progress
) -> Path:
    name = spec.provenance.name
    # It makes names out of the folders' names, which in the store are keys.
    named = work.scratch / "adapter" / name
    named.parent.mkdir(exist_ok=True)
    named.unlink(missing_ok=True)
    named.symlink_to(adapter)
    raw = work.scratch / "unstamped.gguf"
    script = toolchain.lora_converter_of(toolchain.ensure(progress), progress)
    run_tool(
        [
            *(sys.executable, script, named, "--base", _write_base(checkpoint, work.scratch / "base" / name)),
            *("--outfile", raw, "--outtype", spec.type),
        ],
        log=work.out / "convert.log",
        doing=f"converting the adapter of {name} to GGUF",
        env=converter_environment(script.parent, work.scratch),
    )
    return raw


def _write_base(checkpoint: Path, folder: Path) -> Path:
    """Write the config that the converter reads the model's shape from; it needs no weights.

    Where the converter of checkpoints has to be told that there is no prediction block, this one cannot be told: it
    fails unless the config names one. It counts layers by it, no more, and no adapter has that layer.
    """
    layout = read_layout(checkpoint)
    config = copy.deepcopy(layout.config)
    if mtp_options(layout, checkpoint):
        section = config
        for key in section_path(config):
            inner = section[key]
            assert isinstance(inner, dict)  # noqa: S101 -- what `section_path` looked for
            section = inner
        section["mtp_num_hidden_layers"] = 1
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    return folder
