"""One text's perplexity, by llama-perplexity."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from suture.errors import DataError, ProcessError
from suture.gguf import toolchain
from suture.gguf.runner import environment, run_tool
from suture.process import tail
from suture.progress import Progress
from suture.settings import settings

_FINAL = re.compile(r"Final estimate: PPL = ([\d.]+) \+/- ([\d.]+)")
_CHUNK_ROW = re.compile(r" *\d+ +[\d.]+ +[\d.]+ +[\d.]+$")
_TOO_SHORT = re.compile(r"tokenizes to only (\d+) tokens")
_CHUNKS = re.compile(r"calculating perplexity over (\d+) chunks")


@dataclass(frozen=True)
class Estimate:
    """A perplexity.

    Attributes:
        value: exp of the mean negative log-likelihood per token.
        error: Its standard error.
        tokens: How many tokens were predicted: the second half of each chunk.
    """

    value: float
    error: float
    tokens: int


def measure(
    gguf: Path, text: Path, *, chunks: int, context: int, log: Path, progress: Progress, threads: int | None = None
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

    Raises:
        DataError: When the text is too short for that many chunks.
        ProcessError: When the tool fails, or comes to no number.
    """
    done = 0

    def watch(line: str) -> None:
        nonlocal done
        require_long_enough(line, text, chunks, context)
        if _CHUNK_ROW.match(line):
            done += 1
            progress.update(done, chunks, "chunks")

    completed = run_tool(
        [
            toolchain.ensure(progress).binary("llama-perplexity"),
            *("--model", gguf, "--file", text),
            *("--chunks", str(chunks), "--ctx-size", str(context)),
            *("--threads", str(threads or settings().threads)),
            *("--ppl-output-type", "1"),  # a line per chunk, for the progress
        ],
        log=log,
        doing=f"measuring the perplexity on {text.name}",
        # Threads that wait for each other sleep instead of spinning: two of these side by side take 0.6 of the time.
        env=environment(OMP_WAIT_POLICY="passive"),
        on_line=watch,
    )
    final = _FINAL.search(completed.output)
    if final is None:  # NaN in the logits, for instance: the tool exits with 0 all the same
        raise ProcessError(
            f"llama-perplexity came to no number on {text.name}.", status=completed.status, tail=tail(log), where=log
        )
    return Estimate(float(final[1]), float(final[2]), chunks * tokens_per_chunk(context))


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
        "The text is too short to measure perplexity on.",
        where=text,
        expected=f"{chunks} chunks of {context} tokens",
        found=found,
        way_out="Take a longer text, or lower benchmark.perplexity.chunks in the recipe.",
    )
