"""What steps need of the machine's memory while they run: estimates, by which steps take turns.

Each is an upper bound where the step was measured, on two cores and a model of 135 M parameters whose largest tensor,
the embedding, has 28 M numbers (peak of the process and its children, less what a process takes that has only
loaded the step; files that are mapped count):

    convert 0.59 GB    quantize 0.22 GB    imatrix, logits 0.64 GB    perplexity 0.39 GB    divergence 0.41 GB
    merge (slerp) 0.02 GB    fetch of a built-in model 0.93 GB    benchmark (context 2048) 0.21 GB

The others were not measured. How all grow with the model is derived: a converter or quantizer holds one tensor in
fp32 and what it makes of it; what runs a model maps its file. Steps that have the machine alone wait for nobody here;
their need is only compared with what there is.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from suture.bench.capability import BenchmarkSpec
from suture.checkpoint.layout import read_layout
from suture.heal.data.dataset import DatasetSpec
from suture.hub.fetch import BuiltinFetch
from suture.settings import settings
from suture.store import Artifact

GB = 1_000_000_000

_HELD_PER_NUMBER = 8
"""Bytes: the largest tensor in fp32, and as much again for what becomes of it."""

_PREDICTIONS = GB
"""llama.cpp reads 2048 tokens at once and keeps what it predicts for half of them: 1 GB at 250,000 words."""

_CONTEXT_PER_TOKEN = 150_000
"""Bytes of keys and values per token of a model of 8 B parameters with grouped heads: 32 layers x 8 heads x 128 x 2 x
16 bits."""

_CHUNKS_PER_THREAD = 5
"""One at work and four that wait to be written."""

_CHUNK = 2**20
"""Bytes of one model's numbers in a chunk of a merge."""


def little(spec: BaseModel, parents: Sequence[Artifact]) -> int:  # noqa: ARG001 -- every need has this form
    """Return what a step takes that copies files, or works on one row of a tensor at a time."""
    return GB // 4


def fetch(spec: BaseModel, parents: Sequence[Artifact]) -> int:
    """Return what a download takes; a built-in model is unpacked in memory."""
    return GB if isinstance(spec, BuiltinFetch) else little(spec, parents)


def dataset(spec: BaseModel, parents: Sequence[Artifact]) -> int:  # noqa: ARG001
    """Return what preparing data takes: the tokenizer, and the rows, in lists and in arrays."""
    tokens = spec.sequences * spec.sequence_length if isinstance(spec, DatasetSpec) else 0
    return GB // 2 + 64 * tokens


def merge(spec: BaseModel, parents: Sequence[Artifact]) -> int:  # noqa: ARG001
    """Return what streaming tensors takes: some chunks per thread, of each model, of its base and of the result."""
    return GB // 10 + settings().threads * _CHUNKS_PER_THREAD * (len(parents) + 3) * _CHUNK


def convert(spec: BaseModel, parents: Sequence[Artifact]) -> int:  # noqa: ARG001
    """Return what the converter takes: PyTorch, and the largest tensor twice in fp32."""
    tensors = read_layout(parents[0].path).tensors.values()
    return GB // 2 + _HELD_PER_NUMBER * max(tensor.parameters for tensor in tensors)


def quantize(spec: BaseModel, parents: Sequence[Artifact]) -> int:  # noqa: ARG001
    """Return what the quantizer takes: the largest tensor twice in fp32."""
    from suture.gguf.reader import Reader

    tensors = Reader(parents[0].only(".gguf")).tensors
    return GB // 10 + _HELD_PER_NUMBER * max(int(tensor.n_elements) for tensor in tensors)


def read_text(spec: BaseModel, parents: Sequence[Artifact]) -> int:  # noqa: ARG001
    """Return what llama.cpp takes to read a text: the model's file, and what it predicts."""
    return _files(parents) + _PREDICTIONS


def serve(spec: BaseModel, parents: Sequence[Artifact]) -> int:
    """Return what llama-server takes: the model's file, and the keys and values of its context."""
    context = spec.context if isinstance(spec, BenchmarkSpec) else 0
    return _files(parents) + GB // 4 + _CONTEXT_PER_TOKEN * context


def train(spec: BaseModel, parents: Sequence[Artifact]) -> int:  # noqa: ARG001
    """Return what a training, or a look inside, takes at the very least: the checkpoint and PyTorch.

    What it takes of a GPU, and with which optimizer, `suture heal RECIPE --dry-run` measures.
    """
    return parents[0].manifest.size + GB


def _files(parents: Sequence[Artifact]) -> int:
    return sum(parent.manifest.size for parent in parents)
