"""What `method: full` trains and leaves: whole tensors that take the place of the checkpoint's.

They lie in a folder like a checkpoint's shards, under the checkpoint's names, with full.json beside them, and are
fp32: that is what is trained, also where the checkpoint has 16 bits. In bf16 a step of a usual learning rate is lost
in the rounding (a weight of 0.02 has neighbours 0.0001 apart), so that there is one rounding, at the end, as with an
adapter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from suture.checkpoint.layout import Layout
from suture.checkpoint.reader import Checkpoint, read_extents
from suture.checkpoint.shards import list_files, read_shards
from suture.checkpoint.strict_json import read_json_object
from suture.errors import CheckpointError
from suture.heal.fusing.adapter import Change, Fusion
from suture.heal.fusing.adapter_names import find_embedding, is_head, is_tied

FULL = "full.json"


def is_full(folder: Path) -> bool:
    """Return whether a training left whole tensors, and no adapter."""
    return (folder / FULL).exists()


def write_mark(folder: Path, tensors: int) -> None:
    """Write full.json: it tells what the folder is."""
    (folder / FULL).write_text(json.dumps({"kind": "full", "tensors": tensors}) + "\n")


def open_full(folder: Path) -> Checkpoint:
    """Return the tensors that a training left.

    Raises:
        CheckpointError: When a file is malformed.
    """
    shards = read_shards(folder)
    tensors = {name: info for header in shards.values() for name, info in header.tensors.items()}
    extents = {name: extent for file in shards for name, extent in read_extents(folder / file).items()}
    return Checkpoint(folder, Layout(read_json_object(folder / FULL), tensors, list_files(folder)), extents)


def plan_full(model: Layout, trained: Layout, gates: Mapping[str, float]) -> Fusion:
    """Return what trained tensors make of the checkpoint that they were trained from.

    Args:
        model: The checkpoint.
        trained: The tensors.
        gates: Module -> the factor on its output that was trained beside them.

    Raises:
        CheckpointError: When the checkpoint has other tensors.
    """
    sources = {name: name for name in trained.tensors}
    if is_tied(model.config, model.tensors):  # a head that is stored all the same stays what the embedding is
        sources |= {name: find_embedding(model.tensors) for name in model.tensors if is_head(name)}
    changes = {
        name: Change(base=name, replacement=source) for name, source in sources.items() if source in trained.tensors
    }
    for module, gate in gates.items():
        for name in (f"{module}.weight", f"{module}.bias"):
            if name in model.tensors:
                replaced = changes.get(name)
                changes[name] = Change(name, replacement=replaced.replacement if replaced else None, gate=gate)
    for name, change in changes.items():
        info = model.tensors.get(name)
        found = trained.tensors[change.replacement] if change.replacement else info
        if info is None or found is None or found.shape != info.shape:
            raise CheckpointError(
                "What was trained does not fit the checkpoint.",
                where=name,
                expected=info or "no such tensor",
                found=found,
                way_out="It was trained from another model.",
            )
    return Fusion(model, changes)
