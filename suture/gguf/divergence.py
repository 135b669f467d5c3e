"""How far a quantized model's predictions are from those of the model it was made of, by llama-perplexity.

The 16-bit model's predictions go into a file first:

    8 bytes            _logits_
    3 x int32          context, entries of the vocabulary, chunks
    int32 each         the tokens, chunks x context
    per token          scale and minimum of its log-probabilities (2 x float32), and these as uint16, one per entry of
                       the vocabulary, rounded up to an even number; for the second half of each chunk

Then the quantized model reads the same tokens. For each, with p the 16-bit model's distribution and q its own,

    KLD = sum over the vocabulary of p ln(p / q)

is 0 where they agree. It compares quantizations of one model; between models it means nothing.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from suture.errors import ProcessError, VerificationError
from suture.gguf import perplexity, toolchain
from suture.gguf.measured import Measured
from suture.gguf.perplexity import tokens_per_chunk
from suture.gguf.runner import environment, require_room, run_tool, run_until_told
from suture.process import Completed, tail
from suture.progress import Progress
from suture.settings import settings

_MAGIC = b"_logits_"
_HEADER = struct.Struct("<8s3i")
_NUMBER, _ERROR = r"(-?[\d.]+)", r"(-?[\d.]+|-?nan)"
_LINES = {
    "mean": rf"Mean    KLD: +{_NUMBER} ± +{_ERROR}",
    "median": rf"Median  KLD: +{_NUMBER}",
    "high": rf"99\.0%   KLD: +{_NUMBER}",
    "ratio": rf"Mean PPL\(Q\)/PPL\(base\) *: +{_NUMBER} ± +{_ERROR}",
    "same_top": rf"Same top p: +{_NUMBER} ± +{_ERROR} %",
}
"""What a finished comparison says, a line each."""
_CHUNK_ROW = re.compile(r" *(\d+) +[\d.]+ ± ")


@dataclass(frozen=True)
class Logits:
    """What a file of predictions says of itself.

    Attributes:
        context: Tokens per chunk.
        vocabulary: Entries of the vocabulary.
        chunks: How many chunks.
    """

    context: int
    vocabulary: int
    chunks: int

    @property
    def tokens(self) -> int:
        """How many tokens are predicted: the second half of each chunk."""
        return self.chunks * tokens_per_chunk(self.context)

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        row = 2 * (2 * ((self.vocabulary + 1) // 2) + 4)
        return _HEADER.size + 4 * self.chunks * self.context + row * self.tokens


@dataclass(frozen=True)
class Divergence:
    """How far a quantized model is from the 16-bit one.

    The errors are the tool's own, which takes the tokens for independent of each other.

    Attributes:
        mean: Mean KL divergence per token, in nats.
        median: Its median: what a usual token loses.
        high: Its 99 % quantile: what the worst token of a hundred loses.
        ratio: Perplexity over that of the 16-bit model, on the same tokens.
        same_top: Share of tokens for which both find the same one likeliest.
        tokens: How many tokens were compared.
    """

    mean: Measured
    median: float
    high: float
    ratio: Measured
    same_top: Measured
    tokens: int


def write_logits(
    gguf: Path,
    text: Path,
    target: Path,
    *,
    chunks: int,
    context: int,
    log: Path,
    progress: Progress,
    lora: Path | None = None,
) -> Logits:
    """Write what a model predicts on the first chunks of a text; `Logits.size` says beforehand how much that is.

    Args:
        gguf: The model that others are compared with.
        text: A text file in UTF-8.
        target: The new file.
        chunks: How many chunks, from the start of the text.
        context: Tokens per chunk; the first half is only read.
        log: File that receives what the tool writes.
        progress: Gets the chunks done.
        lora: An adapter that is applied beside the model.

    Raises:
        DataError: When the text is too short for that many chunks.
        ProcessError: When the tool fails, or comes to no number.
        OSError: ENOSPC, when the disk is full.
    """
    perplexity.measure(
        gguf, text, chunks=chunks, context=context, log=log, progress=progress, logits=target, lora=lora
    )
    require_room(target.parent)  # the tool does not look whether it could write
    return read_logits(target)


def read_logits(file: Path) -> Logits:
    """Return what a file of predictions says of itself.

    Raises:
        VerificationError: When it is none, or not whole.
    """
    size = file.stat().st_size
    with file.open("rb") as opened:
        head = opened.read(_HEADER.size)
    if len(head) < _HEADER.size or not head.startswith(_MAGIC):
        raise VerificationError("This is no file of predictions.", where=file, expected=_MAGIC, found=head[:8])
    _, context, vocabulary, chunks = _HEADER.unpack(head)
    logits = Logits(context, vocabulary, chunks)
    if size != logits.size:
        raise VerificationError(
            "The file of predictions is not whole.",
            where=file,
            expected=f"{logits.size:,} bytes",
            found=f"{size:,} bytes",
            way_out="Run the same command again.",
        )
    return logits


def measure_divergence(
    gguf: Path,
    logits: Path,
    *,
    log: Path,
    progress: Progress,
    threads: int | None = None,
    lora: Path | None = None,
) -> Divergence:
    """Compare a model's predictions with those in a file.

    Args:
        gguf: A quantization of the model that made the file.
        logits: As `write_logits` left it.
        log: File that receives what the tool writes.
        progress: Gets the chunks done.
        threads: Those of the settings when None.
        lora: An adapter that is applied beside the model, as it was when the file was made.

    Raises:
        ProcessError: When the tool fails, or comes to no number.
        VerificationError: When the file of predictions is not whole.
    """
    base = read_logits(logits)

    def watch(line: str) -> None:
        row = _CHUNK_ROW.match(line)
        if row:
            progress.update(int(row[1]), base.chunks, "chunks")

    def attempt() -> Completed:
        return run_tool(
            [
                toolchain.ensure(progress).binary("llama-perplexity"),
                *("--model", gguf, "--kl-divergence", "--kl-divergence-base", logits),
                *(("--lora", lora) if lora else ()),
                *("--ctx-size", str(base.context), "--threads", str(threads or settings().threads)),
            ],
            log=log,
            doing="measuring the divergence",
            env=environment(OMP_WAIT_POLICY="passive"),
            on_line=watch,
        )

    found = run_until_told(attempt, lambda output: parse_divergence(output, base.tokens), log)
    if found is None:  # NaN in the logits, for instance: the tool exits with 0 all the same
        raise ProcessError("llama-perplexity came to no divergence.", status=0, tail=tail(log), where=log)
    return found


def parse_divergence(output: str, tokens: int) -> Divergence | None:
    """Return what the tool found, or None when a number is missing or none.

    Args:
        output: All that it wrote.
        tokens: How many tokens it compared.
    """
    found = {name: match for name, line in _LINES.items() if (match := re.search(f"^{line}$", output, re.MULTILINE))}
    if len(found) < len(_LINES):
        return None
    top = _measured(found["same_top"])
    return Divergence(
        mean=_measured(found["mean"]),
        median=float(found["median"][1]),
        high=float(found["high"][1]),
        ratio=_measured(found["ratio"]),
        same_top=Measured(round(top.value / 100, 5), round(top.error / 100, 5)),  # the tool prints 3 of a percent
        tokens=tokens,
    )


def _measured(match: re.Match[str]) -> Measured:
    """Return a number; where two models agree up to rounding, the tool's variance may fall below 0: an error of 0."""
    error = float(match[2])
    return Measured(float(match[1]), 0.0 if math.isnan(error) else error)
