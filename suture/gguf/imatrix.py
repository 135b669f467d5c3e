"""Importance matrix: which weights a text makes a model use, by llama-imatrix.

Where a matrix W meets inputs x, an error in column i of W costs in proportion to the mean of x_i^2 over a text. These
means are the importance matrix; llama-quantize weights its rounding errors with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field, JsonValue

from suture.corpus import PinnedText
from suture.gguf import metadata, toolchain
from suture.gguf.perplexity import require_long_enough
from suture.gguf.runner import environment, run_tool
from suture.gguf.text import write_text
from suture.progress import Progress
from suture.recipe import Part
from suture.settings import settings
from suture.store import Artifact, Workspace

FILE = "imatrix.gguf"
_TEXT = "calibration.txt"
_TIME_LEFT = "per pass - ETA "


class ImatrixSpec(Part):
    """What the model reads."""

    text: PinnedText
    """A text, without the part that is held out for measuring."""

    chunks: int = Field(ge=2)
    """Chunks of it."""

    context: int = Field(ge=32)
    """Tokens per chunk."""


def imatrix(
    spec: ImatrixSpec, parents: Sequence[Artifact], work: Workspace, progress: Progress
) -> Mapping[str, JsonValue]:
    """Make the importance matrix of a 16-bit GGUF.

    Raises:
        DataError: When the text is too short for that many chunks.
        ProcessError: When llama-imatrix fails.
    """
    (parent,) = parents
    return write_imatrix(parent.only(".gguf"), spec, work, progress)


def write_imatrix(gguf: Path, spec: ImatrixSpec, work: Workspace, progress: Progress) -> dict[str, JsonValue]:
    """Make the importance matrix of a 16-bit GGUF on this machine; it lies in `work.out` under the name `FILE`."""
    target = (work.out / FILE).absolute()
    text = write_text(spec.text, spec.chunks * spec.context, work.scratch / _TEXT)

    def watch(line: str) -> None:
        require_long_enough(line, text, spec.chunks, spec.context)
        if _TIME_LEFT in line:  # and no word from then on
            progress.say(f"importance matrix: {line.rpartition(_TIME_LEFT)[2].strip()} left")

    run_tool(
        [
            toolchain.ensure(progress).binary("llama-imatrix").absolute(),
            # The tool writes the path of the text into the matrix: without folders, it is the same everywhere.
            *("--model", gguf.absolute(), "--file", _TEXT, "--output-file", target),
            *("--chunks", str(spec.chunks), "--ctx-size", str(spec.context)),
            *("--threads", str(settings().threads), "--no-ppl"),
        ],
        log=work.out / "imatrix.log",
        doing="making the importance matrix",
        env=environment(OMP_WAIT_POLICY="passive"),
        on_line=watch,
        cwd=work.scratch,
    )
    summary = metadata.read(target)
    return {"tensors": summary.tensors // 2, "size_bytes": summary.size, "tokens": spec.chunks * spec.context}
