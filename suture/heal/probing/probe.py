"""The step `probe`: a look inside a 16-bit checkpoint while it reads a held-out text.

The residual stream is what flows through a language model: each layer reads it and adds to it. Where a merge lets a
layer follow on one that it was not trained to follow, the layer reads a stream that it does not know, and what it
adds may not fit. So, for each layer and token, with x the stream before the layer and y = x + f(x) after it:

    norm      |y|
    cosine    x . y / (|x| |y|)    how far the layer turns the stream; 1: not at all
    added     |y - x| / |x|        the size of what it adds

The first token of each chunk is left out of these: many models park attention on it, in a stream that is a hundred
times larger than all others (Sun et al. 2024, https://arxiv.org/abs/2402.17762). And for each token but the first,
how well it was predicted, by its place in the chunk: a damaged model may predict well from a short past and badly
from a long one, or the other way round.

All of it is measured in a process of its own, chunk by chunk: only sums outlive a chunk.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from tokenizers import Tokenizer

from suture.checkpoint.layout import read_layout, require_tokenizer
from suture.corpus import PinnedText, read_text
from suture.errors import DataError, HostError, ProcessError
from suture.heal.child import FAILURE, JOB, RESULT, Failure, environment, rebuild
from suture.process import run
from suture.progress import Progress
from suture.recipe import Part
from suture.settings import settings
from suture.statistics import mean
from suture.store import Artifact, Workspace

TOKENS = "tokens.safetensors"
LOG = "probe.log"

BUCKETS = 16
"""Stretches of equal width that a chunk's places are counted in."""

_CHUNK_LINE = re.compile(r"chunk (\d+) of (\d+)")
_KILLED = -9
_CHARACTERS_PER_TOKEN = 16
"""More than any tokenizer packs into a token on average."""


class ProbeSpec(Part):
    """What the checkpoint reads."""

    text: PinnedText
    """Held-out text."""

    chunks: int = Field(ge=2)
    """Chunks of the text."""

    context: int = Field(ge=2 * BUCKETS)
    """Tokens per chunk."""


class ProbeJob(BaseModel):
    """What the probing process is told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Path
    """Folder of the 16-bit checkpoint."""
    adapter: Path | None
    """Folder of an adapter that is not in its weights."""
    tokens: Path
    """File with the chunks: `input_ids`, int32, (chunks, context)."""
    buckets: int
    """Stretches of a chunk whose losses are told apart."""
    scratch: Path
    """Receives what the process answers."""
    threads: int


class LayerReadings(BaseModel):
    """What one layer did to the stream: the mean over the tokens of each chunk."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    norm: tuple[float, ...]
    cosine: tuple[float, ...]
    added: tuple[float, ...]


class Readings(BaseModel):
    """What the probing process found.

    Attributes:
        start: Norm of the stream before the first layer: the mean over the tokens of each chunk.
        layers: From the first layer to the last.
        losses: (buckets, chunks): mean negative log-likelihood per token, in nats.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: tuple[float, ...]
    layers: tuple[LayerReadings, ...]
    losses: tuple[tuple[float, ...], ...]
    device: str


def probe(
    spec: ProbeSpec, parents: Sequence[Artifact], work: Workspace, progress: Progress
) -> Mapping[str, JsonValue]:
    """Let a checkpoint read a text, and write down its residual stream and its losses by place.

    Args:
        spec: What it reads.
        parents: The 16-bit checkpoint; and an adapter, if there is one that is not in its weights.
        work: Receives probe.json and probe.log.
        progress: Told the chunks.

    Returns:
        What probe.json holds: the stream's norm at the start, and for each layer norm, cosine and added, each with
        its standard error over the chunks; for each bucket of places its first and last place and the loss of each
        chunk, in nats per token.

    Raises:
        DataError: When the text has changed or is too short.
        SourceError: When the checkpoint has no tokenizer, or transformers does not know it.
        HostError: When memory runs out.
        ProcessError: When the probing process fails otherwise.
    """
    model, *adapters = (parent.path for parent in parents)
    rows = chunks_of(spec, model)
    tokens = work.scratch / TOKENS
    safetensors.numpy.save_file({"input_ids": rows}, tokens)  # pyright: ignore[reportUnknownMemberType]
    job = ProbeJob(
        model=model,
        adapter=adapters[0] if adapters else None,
        tokens=tokens,
        buckets=BUCKETS,
        scratch=work.scratch,
        threads=settings().threads,
    )
    (work.scratch / JOB).write_text(job.model_dump_json(indent=1))
    _run(job, work.out / LOG, progress)
    readings = Readings.model_validate_json((work.scratch / RESULT).read_bytes())
    facts = summary(spec, readings)
    (work.out / "probe.json").write_text(json.dumps(facts, indent=1) + "\n")
    return facts


def chunks_of(spec: ProbeSpec, model: Path) -> NDArray[np.int32]:
    """Return the text's first chunks, (chunks, context), each with the start token if the tokenizer sets one.

    Raises:
        DataError: When the text is too short for so many chunks.
    """
    require_tokenizer(read_layout(model), model)
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    text = "\n\n".join(read_text(spec.text))[: spec.chunks * spec.context * _CHARACTERS_PER_TOKEN]
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    start = _start_tokens(tokenizer)
    length = spec.context - len(start)
    if len(ids) < spec.chunks * length:
        raise DataError(
            "The text is too short for so many chunks.",
            where=spec.text.path or spec.text.name,
            expected=f"{spec.chunks} chunks of {spec.context} tokens",
            found=f"{len(ids)} tokens",
            way_out="Take a longer text, or ask for fewer chunks of it.",
        )
    cut = np.array(ids[: spec.chunks * length], np.int32).reshape(spec.chunks, length)
    return np.hstack([np.tile(np.array(start, np.int32), (spec.chunks, 1)), cut])


def _start_tokens(tokenizer: Tokenizer) -> list[int]:
    """Return what the tokenizer sets before a text."""
    marked, plain = tokenizer.encode("a").ids, tokenizer.encode("a", add_special_tokens=False).ids
    return marked[: marked.index(plain[0])]


def bounds(context: int, buckets: int) -> list[tuple[int, int]]:
    """Return the first and the last place of each bucket; nothing is predicted at place 0."""
    edges = [round(bucket * context / buckets) for bucket in range(buckets + 1)]
    return [(max(1, first), after - 1) for first, after in pairwise(edges)]


def summary(spec: ProbeSpec, readings: Readings) -> dict[str, JsonValue]:
    """Return the facts: means over the chunks with their standard errors, and the losses chunk by chunk."""
    return {
        "text": spec.text.name,
        "chunks": spec.chunks,
        "context": spec.context,
        "device": readings.device,
        "start": _estimate(readings.start),
        "layers": [
            {"norm": _estimate(layer.norm), "cosine": _estimate(layer.cosine), "added": _estimate(layer.added)}
            for layer in readings.layers
        ],
        "positions": [
            {"first": first, "last": last, "losses": [round(loss, 6) for loss in losses]}
            for (first, last), losses in zip(bounds(spec.context, BUCKETS), readings.losses, strict=True)
        ],
    }


def _estimate(values: Sequence[float]) -> JsonValue:
    found = mean(values)
    return {"value": float(f"{found.value:.6g}"), "error": float(f"{found.error:.3g}")}


def _run(job: ProbeJob, log: Path, progress: Progress) -> None:
    failure = job.scratch / FAILURE
    failure.unlink(missing_ok=True)
    progress.say("loading the model")

    def follow(line: str) -> None:
        if found := _CHUNK_LINE.match(line):
            progress.update(int(found[1]), int(found[2]), "chunks")

    try:
        run(
            [sys.executable, "-m", "suture.heal.probing", job.scratch / JOB],
            log=log,
            doing="probing the model",
            cwd=job.scratch,  # so that no file of the caller's folder is taken for a module
            env=environment(job.threads),
            on_line=follow,
        )
    except ProcessError as error:
        if failure.exists():
            raise rebuild(Failure.model_validate_json(failure.read_bytes())) from error
        if error.status == _KILLED:
            raise HostError(
                "The probing process was killed, most likely because the machine ran out of memory.",
                where=log,
                found=error.tail,
                way_out="It needs the memory of the whole 16-bit model. Leave benchmark.probe out, or use a larger "
                "machine.",
            ) from error
        raise
