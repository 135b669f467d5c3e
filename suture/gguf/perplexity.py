"""One text's perplexity, by llama-perplexity, and how well each of its chunks was predicted."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from suture.errors import DataError, ProcessError
from suture.gguf import toolchain
from suture.gguf.runner import environment, run_tool, run_until_told
from suture.process import Completed, tail
from suture.progress import Progress
from suture.settings import settings

_FINAL = re.compile(r"Final estimate: PPL = ([\d.]+) \+/- ([\d.]+)")
_CHUNK_ROW = re.compile(r" *\d+ +[\d.]+ +([\d.]+) +-?[\d.]+$")
"""First token of the batch, perplexity so far, mean negative log-likelihood so far, its standard error."""
_TOO_SHORT = re.compile(r"tokenizes to only (\d+) tokens")
_CHUNKS = re.compile(r"(?:calculating perplexity|computing) over (\d+) chunks")


@dataclass(frozen=True)
class Estimate:
    """A perplexity.

    Attributes:
        value: exp of the mean negative log-likelihood per token.
        error: Its standard error.
        tokens: How many tokens were predicted: the second half of each chunk.
        chunks: Mean negative log-likelihood per token of each chunk, in nats, as exact as `chunk_losses` says; empty
            where several texts were combined.
    """

    value: float
    error: float
    tokens: int
    chunks: tuple[float, ...] = ()


def measure(
    gguf: Path,
    text: Path,
    *,
    chunks: int,
    context: int,
    log: Path,
    progress: Progress,
    threads: int | None = None,
    logits: Path | None = None,
    lora: Path | None = None,
) -> Estimate:
    """Measure a model's perplexity on the first chunks of a text.

    Args:
        gguf: The model.
        text: A text file in UTF-8.
        chunks: How many chunks, from the start of the text.
        context: Tokens per chunk; the first half is only read.
        log: File that receives what the tool writes.
        progress: Gets the chunks done.
        threads: Those of the settings when None.
        logits: File that receives the model's predictions, if anything is to be compared with them.
        lora: An adapter that is applied beside the model.

    Raises:
        DataError: When the text is too short for that many chunks.
        ProcessError: When the tool fails, or comes to no number.
    """
    command = [
        toolchain.ensure(progress).binary("llama-perplexity"),
        *("--model", gguf, "--file", text),
        *(("--lora", lora) if lora else ()),
        *("--chunks", str(chunks), "--ctx-size", str(context)),
        *("--threads", str(threads or settings().threads)),
        *("--ppl-output-type", "1"),  # a line per chunk
        *(("--kl-divergence-base", logits) if logits else ()),
    ]

    def attempt() -> Completed:
        done = itertools.count(1)

        def watch(line: str) -> None:
            require_long_enough(line, text, chunks, context)
            if _CHUNK_ROW.match(line):
                progress.update(next(done), chunks, "chunks")

        return run_tool(
            command,
            log=log,
            doing=f"measuring the perplexity on {text.name}",
            # Threads that wait sleep instead of spinning: two of these side by side take 0.6 of the time.
            env=environment(OMP_WAIT_POLICY="passive"),
            on_line=watch,
        )

    estimate = run_until_told(attempt, lambda output: parse_estimate(output, chunks, context), log)
    if estimate is None:  # NaN in the logits, for instance: the tool exits with 0 all the same
        raise ProcessError(f"llama-perplexity came to no number on {text.name}.", status=0, tail=tail(log), where=log)
    return estimate


def parse_estimate(output: str, chunks: int, context: int) -> Estimate | None:
    """Return what the tool found, or None when a number is missing or none.

    Args:
        output: All that it wrote.
        chunks: How many chunks it measured.
        context: Tokens per chunk.
    """
    final = _FINAL.search(output)
    running = [float(row[1]) for line in output.splitlines() if (row := _CHUNK_ROW.match(line))]
    if final is None or len(running) != chunks:
        return None
    return Estimate(float(final[1]), float(final[2]), chunks * tokens_per_chunk(context), chunk_losses(running))


def chunk_losses(running: Sequence[float]) -> tuple[float, ...]:
    """Return each chunk's mean negative log-likelihood, from the tool's running means over all chunks so far.

    All chunks predict equally many tokens, so with m_k the mean over the first k of them chunk k has

        k m_k - (k - 1) m_(k-1)

    The tool prints m_k with six decimals, hence chunk k is known to (2 k - 1) * 5e-7 nats: 3e-5 at the 32nd. The
    roundings of neighbours cancel in a mean over chunks, which is as exact as what the tool prints.
    """
    sums = [0.0, *(count * mean for count, mean in enumerate(running, start=1))]
    return tuple(round(after - before, 6) for before, after in itertools.pairwise(sums))


def tokens_per_chunk(context: int) -> int:
    """Return how many tokens of a chunk are predicted: all of its second half that have a successor."""
    return context - context // 2 - 1


def require_long_enough(line: str, text: Path, chunks: int, context: int) -> None:
    """Refuse a text that the tool's line tells to be too short.

    Raises:
        DataError: With the numbers.
    """
    short, fewer = _TOO_SHORT.search(line), _CHUNKS.search(line)
    if short:
        found = f"{short[1]} tokens"
    elif fewer and int(fewer[1]) < chunks:
        found = f"{fewer[1]} chunks"
    else:
        return
    raise DataError(
        "The text is too short for so many chunks.",
        where=text,
        expected=f"{chunks} chunks of {context} tokens",
        found=found,
        way_out="Take a longer text, or ask for fewer chunks of it.",
    )
