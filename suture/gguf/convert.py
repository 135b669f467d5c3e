"""Checkpoint -> bf16 GGUF, by llama.cpp's converter."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

import suture
from suture.checkpoint.layers import text_section
from suture.checkpoint.layout import Layout, read_layout, require_tokenizer
from suture.errors import CheckpointError, SourceError
from suture.gguf import metadata, toolchain
from suture.gguf.runner import environment, run_tool
from suture.progress import Progress
from suture.recipe import Part
from suture.store import Artifact, Workspace, canonical_json

_MTP_TENSOR = re.compile(r"(?:model\.)?(?:language_model\.)?mtp\.(?:layers\.(\d+)\.)?")
_MTP_ARCHITECTURES = ("Qwen3Next", "Qwen3_5")
"""How the names of architectures begin whose prediction layers the converter insists on."""

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


class SourceCredit(Part):
    """Where a model, or a part of it, came from."""

    name: str
    """What the recipe calls it."""
    model: str
    """Repository, folder or builtin model."""
    commit: str
    """Commit of the repository, or digest of the files."""
    licence: str
    """Name of its licence."""


class Provenance(Part):
    """What is written into a GGUF about where it came from."""

    name: str
    """Name of the model."""
    recipe: str
    """Name of the recipe that made it; empty for a source as it came."""
    sources: tuple[SourceCredit, ...]
    """All models that it was made of."""


class ConvertSpec(Part):
    """What to convert to, and what to write into the file."""

    type: Literal["bf16"]
    """Type of the matrices; vectors become f32."""
    provenance: Provenance
    """Where the model came from."""


def convert(
    spec: ConvertSpec, parents: Sequence[Artifact], work: Workspace, progress: Progress
) -> Mapping[str, JsonValue]:
    """Convert a checkpoint.

    Raises:
        SourceError: When the tokenizer is missing, or the checkpoint brings Python code.
        CheckpointError: When the config and the tensors disagree on prediction layers.
        ProcessError: When the converter fails.
    """
    (checkpoint,) = parents
    return write_gguf(checkpoint.path, spec, work, progress)


def write_gguf(checkpoint: Path, spec: ConvertSpec, work: Workspace, progress: Progress) -> dict[str, JsonValue]:
    """Convert a checkpoint on this machine to `work.out`."""
    options = check(checkpoint)
    raw = _run_converter(checkpoint, spec, options, work, progress)
    model = work.out / "model.gguf"
    metadata.stamp(raw, model, stamp_values(spec.provenance, work.key), progress)
    raw.unlink()
    summary = metadata.read(model)
    return {"tensors": summary.tensors, "size_bytes": summary.size, "type": summary.type}


def check(folder: Path) -> tuple[str, ...]:
    """Check a checkpoint for what the converter would trip over, or pass over in silence.

    Returns:
        Options for the converter.

    Raises:
        SourceError: When the tokenizer is missing, or the checkpoint brings Python code.
        CheckpointError: When the config and the tensors disagree on prediction layers.
    """
    layout = read_layout(folder)
    require_tokenizer(layout, folder)
    scripts = [name for name in layout.files if name.endswith(".py")]
    if scripts:  # the converter loads tokenizers with trust_remote_code
        raise SourceError(
            "The checkpoint brings Python code, which the converter would run.",
            where=folder,
            expected="weights, config and tokenizer only",
            found=", ".join(scripts),
            way_out="Read the code; if transformers does without it, remove it from a local copy.",
        )
    return mtp_options(layout, folder)


def mtp_options(layout: Layout, folder: Path) -> tuple[str, ...]:
    """Return the converter's options for the layers that predict several tokens.

    Where such an architecture has no such tensors (a stack of slices drops them), the converter fails an assertion
    unless it is told; where it has another number of them than the config says, the file it writes cannot be loaded.

    Raises:
        CheckpointError: When the config and the tensors disagree on their number.
    """
    if not _architecture(layout).startswith(_MTP_ARCHITECTURES):
        return ()
    found = [match for name in layout.tensors if (match := _MTP_TENSOR.match(name))]
    if not found:
        return ("--no-mtp",)
    layers = len({match[1] for match in found} - {None})
    stated = text_section(layout.config).get("mtp_num_hidden_layers") or layers
    if stated != layers:
        raise CheckpointError(
            "The config and the tensors disagree on the multi-token prediction layers.",
            where=folder,
            expected=f"mtp_num_hidden_layers: {stated}, as config.json says",
            found=f"tensors of {layers}",
            way_out="Correct mtp_num_hidden_layers, or remove the mtp tensors.",
        )
    return ()


def _architecture(layout: Layout) -> str:
    named = layout.config.get("architectures")
    return str(named[0]) if isinstance(named, list) and named else ""


def stamp_values(provenance: Provenance, key: str) -> dict[str, str]:
    """Return what is written into a GGUF.

    Args:
        provenance: Where the model came from.
        key: Key of the artifact that holds the file.
    """
    return {
        metadata.KEY: key,
        metadata.RECIPE: provenance.recipe,
        metadata.NAME: provenance.name,
        metadata.SOURCES: canonical_json([source.model_dump(mode="json") for source in provenance.sources]),
        metadata.VERSION: suture.__version__,
    }


def parse_writing(line: str) -> tuple[float, float] | None:
    """Return (bytes done, bytes in all) from a line such as `Writing:  21%|██  | 56.6M/269M [00:00<00:02, ...]`."""
    match = re.search(r"Writing: .*\| ([\d.]+)([kMGT]?)/([\d.]+)([kMGT]?) ", line)
    return match and (float(match[1]) * _UNITS[match[2]], float(match[3]) * _UNITS[match[4]])


def _run_converter(
    folder: Path, spec: ConvertSpec, options: tuple[str, ...], work: Workspace, progress: Progress
) -> Path:
    # The converter makes names out of the folder's name, which in the store is a key.
    named = work.scratch / "named" / spec.provenance.name
    named.parent.mkdir(exist_ok=True)
    named.unlink(missing_ok=True)
    named.symlink_to(folder)
    raw = work.scratch / "unstamped.gguf"

    def show(line: str) -> None:
        written = parse_writing(line)
        if written is not None:
            progress.update(*written, "bytes")

    script = toolchain.converter_of(toolchain.ensure(progress), progress)
    command = [sys.executable, script, named, "--outfile", raw, "--outtype", spec.type]
    run_tool(
        [*command, "--model-name", spec.provenance.name, *options],
        log=work.out / "convert.log",
        doing=f"converting {spec.provenance.name} to GGUF",
        env=converter_environment(script.parent, work.scratch),
        on_line=show,
    )
    return raw


def converter_environment(converter: Path, scratch: Path) -> dict[str, str]:
    """Return the environment of the converters' scripts.

    Args:
        converter: Their folder.
        scratch: Folder for what transformers would cache.
    """
    paths = [str(converter / "gguf-py"), os.environ.get("PYTHONPATH", "")]
    return environment(
        # Its own gguf-py: the package of the same version on PyPI has other content.
        PYTHONPATH=os.pathsep.join(filter(None, paths)),
        PYTHONDONTWRITEBYTECODE="1",
        # No network, and no code that somebody once fetched: only what lies in the checkpoint.
        HF_HUB_OFFLINE="1",
        HF_HOME=str(scratch / "huggingface"),
    )
