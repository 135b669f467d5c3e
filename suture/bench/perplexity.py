"""The step `perplexity`: how well a GGUF predicts text that no training has seen."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence

from pydantic import Field, JsonValue

from suture.corpus import PinnedText
from suture.gguf.metadata import tokenizer_digest
from suture.gguf.perplexity import Estimate, measure
from suture.gguf.text import write_text
from suture.progress import Progress
from suture.recipe import Part
from suture.store import Artifact, Workspace


class PerplexitySpec(Part):
    """What to measure on."""

    texts: tuple[PinnedText, ...] = Field(min_length=1)
    """Held-out texts."""

    chunks: int = Field(ge=2)
    """Chunks of each text."""

    context: int = Field(ge=32)
    """Tokens per chunk."""


def perplexity(
    spec: PerplexitySpec, parents: Sequence[Artifact], work: Workspace, progress: Progress
) -> Mapping[str, JsonValue]:
    """Measure the perplexity of a GGUF on each text, and over all of them.

    Args:
        spec: What to measure on.
        parents: The artifact with the GGUF, and the one with an adapter beside it where there is one.
        work: Receives perplexity.json and one log per text.
        progress: Gets the chunks.

    Returns:
        What perplexity.json holds: value, error and tokens over all texts, and the same per text with the mean
        negative log-likelihood of each chunk; and the digest of the tokenizer. Two models of one tokenizer read the
        same chunks, and can be compared chunk by chunk.
    """
    gguf, *lora = (parent.only(".gguf") for parent in parents)
    adapter = lora[0] if lora else None
    estimates: dict[str, Estimate] = {}
    for name, text in _by_name(spec.texts).items():
        progress.say(f"perplexity on {name}")
        stem = name.replace(":", "-")
        file = write_text(text, spec.chunks * spec.context, work.scratch / f"{stem}.txt")
        log = work.out / f"{stem}.log"
        estimates[name] = measure(
            gguf, file, chunks=spec.chunks, context=spec.context, log=log, progress=progress, lora=adapter
        )
    texts: dict[str, JsonValue] = {
        name: {**_facts(estimate), "chunks": list(estimate.chunks)} for name, estimate in estimates.items()
    }
    facts: dict[str, JsonValue] = {
        **_facts(combine(list(estimates.values()))),
        "texts": texts,
        "tokenizer": tokenizer_digest(gguf),
    }
    (work.out / "perplexity.json").write_text(json.dumps(facts, indent=1))
    return facts


def combine(estimates: Sequence[Estimate]) -> Estimate:
    """Return the perplexity over several texts, as if they were one: weighted by their tokens.

    A perplexity P is the exponential of a mean over n tokens, so the means are averaged, with w = n / sum(n):

        ln P = sum(w_i ln P_i)

    and, for independent texts, errors of first order (the delta method: an error s of P is s / P of ln P):

        s = P sqrt(sum((w_i s_i / P_i)^2))
    """
    tokens = sum(estimate.tokens for estimate in estimates)
    weights = [estimate.tokens / tokens for estimate in estimates]
    rows = list(zip(weights, estimates, strict=True))
    value = math.exp(math.fsum(weight * math.log(estimate.value) for weight, estimate in rows))
    relative = math.hypot(*(weight * estimate.error / estimate.value for weight, estimate in rows))
    return Estimate(value=value, error=value * relative, tokens=tokens)


def _facts(estimate: Estimate) -> dict[str, JsonValue]:
    return {"value": estimate.value, "error": estimate.error, "tokens": estimate.tokens}


def _by_name(texts: Sequence[PinnedText]) -> dict[str, PinnedText]:
    """Return the texts by name; files of the same name are told apart by their digests."""
    count = Counter(text.name for text in texts)
    return {text.name if count[text.name] == 1 else f"{text.name} {text.sha256[:8]}": text for text in texts}
