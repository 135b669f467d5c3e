"""The merge as a step: carries out the account, tensor by tensor, in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from pydantic import Field, JsonValue

from suture.checkpoint.companions import copy_companions, write_config
from suture.checkpoint.floats import from_float32, to_float32
from suture.checkpoint.layout import require_tokenizer
from suture.checkpoint.reader import Checkpoint, open_checkpoint, read_chunks
from suture.checkpoint.tensors import DTYPE_BITS
from suture.checkpoint.writer import OutputTensor, write_checkpoint
from suture.merge.methods import Floats
from suture.merge.plan import Input, MergePlan, Output, plan_merge
from suture.merge.table import METHODS
from suture.progress import Progress
from suture.recipe import Merge, Part
from suture.store import Artifact, Workspace

_CHUNK = 2**16
"""Numbers of each source in memory at once: 256 KiB of fp32 stay in a core's cache; 2**19 takes 1.6 times as long."""

Sources = Mapping[str, Checkpoint]


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
        work: Receives the merged checkpoint.
        progress: Is told the bytes written.

    Returns:
        The account: layers, tensors in and out, copied and merged, what was dropped and why, seams, size.

    Raises:
        InputError: When the sources cannot be merged as asked; nothing was written then.
    """
    names = spec.merge.sources
    sources = {name: open_checkpoint(parent.path) for name, parent in zip(names, parents, strict=True)}
    base = sources[spec.merge.base]
    require_tokenizer(base.layout, base.folder)
    plan = plan_merge(spec.merge, {name: source.layout for name, source in sources.items()}, spec.shard_bytes)
    tensors = [_output_tensor(output, sources) for output in plan.outputs]
    write_checkpoint(work.out, tensors, spec.shard_bytes, progress)
    write_config(plan.layout.config, work.out)
    copy_companions(base.folder, base.layout, work.out)
    return _facts(plan, sources)


def _output_tensor(output: Output, sources: Sources) -> OutputTensor:
    if output.method == "passthrough":
        (only,) = output.inputs
        source = sources[only.source].extents[only.tensor]
    else:
        source = _computed(output, sources)
    return OutputTensor(output.name, output.info.dtype, output.info.shape, source)


def _computed(output: Output, sources: Sources) -> Callable[[], Iterator[bytes]]:
    """Return what computes a tensor in chunks: fp32 throughout, rounded once at the end."""
    function = METHODS[output.method].function

    def compute() -> Iterator[bytes]:
        streams = [_read_floats(sources[made_of.source], made_of) for made_of in output.inputs]
        for chunks in zip(*streams, strict=True):
            with np.errstate(all="ignore"):  # a source's infinities and NaN go their way, as IEEE 754 has it
                values = function(chunks, **output.parameters)
            yield from_float32(values, output.info.dtype)

    return compute


def _read_floats(source: Checkpoint, made_of: Input) -> Iterator[Floats]:
    dtype = source.layout.tensors[made_of.tensor].dtype
    for chunk in read_chunks(source.extents[made_of.tensor], _CHUNK * DTYPE_BITS[dtype] // 8):
        yield to_float32(chunk, dtype)


def _facts(plan: MergePlan, sources: Sources) -> dict[str, JsonValue]:
    copied = sum(output.method == "passthrough" for output in plan.outputs)
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
        "bytes": plan.layout.size,
        "parameters": plan.layout.parameters,
    }
