"""The steps `logits` and `divergence`: what quantizing lost, against the 16-bit file.

All quantizations of a model are compared with the same predictions of its 16-bit file. They are an artifact of their
own, though they may be gigabytes: with 16 bits on few cores the pass takes longer than all others together, and it is
neither repeated for each type nor lost with a killed run. They are small beside the 16-bit file of all but the
smallest models, the plan counts their bytes beforehand, and `suture store gc` removes them with their run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from pydantic import Field, JsonValue

from suture.corpus import PinnedText
from suture.gguf.divergence import Logits, measure_divergence, write_logits
from suture.gguf.text import write_text
from suture.progress import Progress
from suture.recipe import Part
from suture.store import Artifact, Workspace


class LogitsSpec(Part):
    """What the 16-bit model reads."""

    text: PinnedText
    """A held-out text."""

    chunks: int = Field(ge=2)
    """Chunks of it."""

    context: int = Field(ge=32)
    """Tokens per chunk."""

    def size(self, vocabulary: int) -> int:
        """Return the bytes of the predictions for a vocabulary of so many entries."""
        return Logits(self.context, vocabulary, self.chunks).size


class DivergenceSpec(Part):
    """Nothing to choose: the predictions say which text."""


def logits(
    spec: LogitsSpec, parents: Sequence[Artifact], work: Workspace, progress: Progress
) -> Mapping[str, JsonValue]:
    """Write down what a 16-bit GGUF predicts.

    Args:
        spec: What it reads.
        parents: The artifact with the GGUF, and the one with an adapter beside it where there is one.
        work: Receives the predictions and a log.
        progress: Gets the chunks.
    """
    gguf, *lora = (parent.only(".gguf") for parent in parents)
    text = write_text(spec.text, spec.chunks * spec.context, work.scratch / "text.txt")
    written = write_logits(
        gguf,
        text,
        work.out / "predictions.logits",
        chunks=spec.chunks,
        context=spec.context,
        log=work.out / "logits.log",
        progress=progress,
        lora=lora[0] if lora else None,
    )
    return {"text": spec.text.name, "tokens": written.tokens, "vocabulary": written.vocabulary, "bytes": written.size}


def divergence(
    spec: DivergenceSpec,  # noqa: ARG001 -- nothing in it: every step has this form
    parents: Sequence[Artifact],
    work: Workspace,
    progress: Progress,
) -> Mapping[str, JsonValue]:
    """Compare a quantized GGUF with the 16-bit one.

    Args:
        spec: Nothing to choose.
        parents: The artifacts with the quantized GGUF and with the predictions; and the one with an adapter where
            these were made with it.
        work: Receives divergence.json and a log.
        progress: Gets the chunks.

    Returns:
        What divergence.json holds: see `suture.gguf.divergence.Divergence`; and the text's name.
    """
    quantized, predictions, *lora = parents
    found = measure_divergence(
        quantized.only(".gguf"),
        predictions.only(".logits"),
        log=work.out / "divergence.log",
        progress=progress,
        lora=lora[0].only(".gguf") if lora else None,
    )
    facts: dict[str, JsonValue] = {**asdict(found), "text": predictions.facts["text"]}
    (work.out / "divergence.json").write_text(json.dumps(facts, indent=1))
    return facts
