"""Reading a model's residual stream and its losses while a text goes through it.

before, after   (tokens, width), fp32: the stream before and after a layer, for one chunk
"""

# torch and transformers are partly untyped; what they return is given a type where it is kept.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import transformers
from peft import PeftModel
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy
from transformers import PreTrainedModel

from suture.errors import HostError
from suture.heal.probing.probe import LayerReadings, ProbeJob, Readings, bounds
from suture.heal.training.model import model_class

_ROWS_AT_ONCE = 128
"""Rows of logits that are made fp32 together: with a vocabulary of 248 k that is 127 MB."""


class LayerMeter:
    """A forward hook on a decoder layer that keeps one number of each kind per chunk."""

    def __init__(self) -> None:
        self.start: list[float] = []
        self.norm: list[float] = []
        self.cosine: list[float] = []
        self.added: list[float] = []

    def __call__(self, _layer: nn.Module, args: Sequence[Any], named: Mapping[str, Any], output: Any) -> None:  # noqa: ANN401 -- as torch calls it
        """Measure the stream before and after the layer, without the chunk's first token."""
        given: Tensor = args[0] if args else named["hidden_states"]
        made: Tensor = output[0] if isinstance(output, tuple) else output
        before, after = given[0, 1:].float(), made[0, 1:].float()
        self.start.append(_mean(before.norm(dim=-1)))
        self.norm.append(_mean(after.norm(dim=-1)))
        self.cosine.append(_mean(cosine_similarity(before, after, dim=-1)))
        self.added.append(_mean((after - before).norm(dim=-1) / before.norm(dim=-1)))

    def readings(self) -> LayerReadings:
        """Return what was measured so far."""
        return LayerReadings(norm=tuple(self.norm), cosine=tuple(self.cosine), added=tuple(self.added))


def run_job(job: ProbeJob) -> Readings:
    """Load the model and let it read all chunks.

    Raises:
        SourceError: When transformers does not know the model.
        HostError: When memory runs out.
    """
    torch.set_num_threads(job.threads)
    transformers.utils.logging.disable_progress_bar()
    rows = safetensors.torch.load_file(job.tokens)["input_ids"].long()
    try:
        return read(load(job.model, job.adapter), rows, job.buckets)
    except torch.OutOfMemoryError as error:
        raise HostError(
            "The GPU has too little memory to read so long a chunk.",
            where=torch.cuda.get_device_name(),
            found=str(error).splitlines()[0],
            way_out="Lower benchmark.probe.context.",
        ) from error


def load(folder: Path, adapter: Path | None) -> PreTrainedModel:
    """Load a checkpoint in its own dtype, with the adapter at work in its layers."""
    model = model_class(folder).from_pretrained(
        folder,
        dtype="auto",
        # what the GPU has no room for stays in main memory, and is brought over for each chunk
        device_map="auto" if torch.cuda.is_available() else None,
    )
    if adapter is not None:
        PeftModel.from_pretrained(model, adapter)  # puts it into the model's own layers
    return model.eval()


@torch.inference_mode()
def read(model: PreTrainedModel, rows: Tensor, buckets: int) -> Readings:
    """Let a model read chunks, one at a time.

    Args:
        model: The model.
        rows: Tokens, int64, (chunks, context).
        buckets: Stretches of a chunk whose losses are told apart.
    """
    layers: Sequence[nn.Module] = model.get_decoder().layers  # pyright: ignore[reportAssignmentType]
    meters = [LayerMeter() for _ in layers]
    hooks = [
        layer.register_forward_hook(meter, with_kwargs=True) for layer, meter in zip(layers, meters, strict=True)
    ]
    losses: list[list[float]] = []
    for number, row in enumerate(rows, start=1):
        answer = model(input_ids=row[None].to(model.device), use_cache=False)
        logits: Tensor = answer.logits[0]  # (context, vocabulary)
        losses.append(_by_bucket(token_losses(logits, row.to(logits.device)), buckets))
        print(f"chunk {number} of {len(rows)}", flush=True)  # the step follows these lines
    for hook in hooks:
        hook.remove()
    return Readings(
        start=tuple(meters[0].start),
        layers=tuple(meter.readings() for meter in meters),
        losses=tuple(zip(*losses, strict=True)),
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
    )


def token_losses(logits: Tensor, tokens: Tensor) -> Tensor:
    """Return how badly each token was predicted from those before it: nats, fp32, (context,); 0 for the first."""
    parts = [
        cross_entropy(some.float(), wanted, reduction="none")
        for some, wanted in zip(logits[:-1].split(_ROWS_AT_ONCE), tokens[1:].split(_ROWS_AT_ONCE), strict=True)
    ]
    return torch.cat([torch.zeros(1, device=logits.device), *parts])


def _by_bucket(losses: Tensor, buckets: int) -> list[float]:
    return [_mean(losses[first : last + 1]) for first, last in bounds(len(losses), buckets)]


def _mean(values: Tensor) -> float:
    return values.double().mean().item()


def _processor() -> str:
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
