"""The step `merge`: from the sources' checkpoints to the merged one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic import Field, JsonValue

from suture.checkpoint.companions import write_config
from suture.checkpoint.journal import Journal
from suture.checkpoint.layout import require_tokenizer
from suture.checkpoint.reader import open_checkpoint
from suture.merge.account import MergePlan
from suture.merge.companions import write_companions
from suture.merge.engine import Counts, Sources, execute
from suture.merge.plan import plan_merge
from suture.progress import Progress
from suture.recipe import Merge, Part
from suture.settings import settings
from suture.store import Artifact, Workspace, durable

CHECKPOINT = "checkpoint"
"""Folder in the scratch that receives the files."""


class MergeSpec(Part):
    """What is asked of a merge."""

    merge: Merge
    """How to merge which sources."""

    shard_bytes: int = Field(default=5_000_000_000, ge=1)
    """Bytes of tensors per file at most, as the hub has them."""


def merge(
    spec: MergeSpec, parents: Sequence[Artifact], work: Workspace, progress: Progress
) -> Mapping[str, JsonValue]:
    """Merge checkpoints.

    Args:
        spec: How.
        parents: The sources' checkpoints, in the order of `spec.merge.sources`.
        work: Receives the merged checkpoint; its scratch keeps the shards that a killed attempt finished.
        progress: Is told the bytes written.

    Returns:
        The account: layers, tensors in and out, copied and merged, what was dropped and why, seams, size, and how
        many of the numbers that were computed are none.

    Raises:
        InputError: When the sources cannot be merged as asked; nothing was written then.
    """
    names = spec.merge.sources
    sources = {name: open_checkpoint(parent.path) for name, parent in zip(names, parents, strict=True)}
    facts = write_merge(spec, sources, work.scratch, progress)
    for path in durable.walk_files(work.scratch / CHECKPOINT):
        path.rename(work.out / path.name)
    return facts


def write_merge(
    spec: MergeSpec,
    sources: Sources,
    scratch: Path,
    progress: Progress,
    check_room: Callable[[int], None] = lambda _: None,
) -> dict[str, JsonValue]:
    """Merge checkpoints into the folder `checkpoint` below `scratch`.

    Args:
        spec: How.
        sources: The checkpoints, by the names that the recipe uses.
        scratch: Where to work; what an attempt that was killed finished there is kept.
        progress: Is told the bytes written.
        check_room: Is told how many bytes will be written, before any is; raises when there is no room.

    Returns:
        The account, as `merge` does.

    Raises:
        InputError: When the sources cannot be merged as asked; nothing was written then.
    """
    base = sources[spec.merge.base]
    require_tokenizer(base.layout, base.folder)
    layouts = {name: source.layout for name, source in sources.items()}
    folders = {name: source.folder for name, source in sources.items()}
    plan = plan_merge(spec.merge, layouts, spec.shard_bytes, folders)
    check_room(plan.layout.size)
    folder = scratch / CHECKPOINT
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(scratch / "written.json")
    counts = execute(
        plan, sources, folder, spec.shard_bytes, journal=journal, threads=settings().threads, progress=progress
    )
    write_config(plan.layout.config, folder)
    write_companions(plan.companions, folder)
    return _facts(plan, sources, counts)


def _facts(plan: MergePlan, sources: Sources, counts: Counts) -> dict[str, JsonValue]:
    copied = sum(output.is_copy for output in plan.outputs)
    return {
        "layers": plan.layout.layers,
        "tensors_in": sum(len(source.layout.tensors) for source in sources.values()),
        "tensors_out": len(plan.outputs),
        "copied": copied,
        "merged": len(plan.outputs) - copied,
        "dropped": [
            {"tensor": dropped.tensor, "source": dropped.source, "reason": dropped.reason} for dropped in plan.dropped
        ],
        "seams": list(plan.seams),
        "notes": list(plan.notes),
        "bytes": plan.layout.size,
        "parameters": plan.layout.parameters,
        "nan_in": {name: counts.of(name).nan for name in sources},
        "inf_in": {name: counts.of(name).inf for name in sources},
        "nan_out": counts.of("").nan,
        "inf_out": counts.of("").inf,
    }
