"""Every error that Suture raises on purpose.

SutureError                 says what is wrong, where, what was expected, what was found, and the way out
├── InputError              the user can mend it; the command line exits with status 2
│   ├── RecipeError         the recipe asks for what cannot be
│   ├── SourceError         a source model is missing, incomplete, gated, or of another shape
│   ├── CheckpointError     a safetensors file, its index or its config is malformed
│   ├── DataError           training or evaluation text cannot be used
│   ├── ToolError           llama.cpp (or another outside tool) is missing or incomplete
│   └── HostError           this machine cannot do it: disk full, port taken
├── VerificationError       what was made is not what was meant
├── CorruptArtifactError    an artifact in the store is not what its manifest says
├── TransientError          worth trying again: the network, a server that did not come up
└── ProcessError            a subprocess failed; carries its command, status and the end of its log
"""

from __future__ import annotations

from pathlib import Path

_LONGEST_LINE = 1000  # characters


class SutureError(Exception):
    """Base of all errors raised on purpose.

    Args:
        problem: One sentence: what is wrong.
        where: File, recipe field, repository or tool that it concerns.
        expected: What would have been right.
        found: What was there instead.
        way_out: What the user can do about it.
    """

    exit_code = 1
    """Exit status of the command line."""

    usual_way_out: str | None = None
    """What helps where an error names nothing better."""

    def __init__(
        self,
        problem: str,
        *,
        where: str | Path | None = None,
        expected: object = None,
        found: object = None,
        way_out: str | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.where = where
        self.expected = expected
        self.found = found
        self.way_out = way_out or self.usual_way_out

    def __str__(self) -> str:
        details = [
            ("where", self.where),
            ("expected", self.expected),
            ("found", self.found),
            ("way out", self.way_out),
        ]
        lines = [f"  {label + ':':<10}{value}" for label, value in details if value is not None]
        return _harmless("\n".join([self.problem, *lines]))


def printable(text: str) -> str:
    """Return a text with everything written out that would command a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def _harmless(text: str) -> str:
    """Write out what would command a terminal, and cut endless lines: strangers choose names of files and tensors."""
    lines = printable(text).split("\n")
    return "\n".join(line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} ..." for line in lines)


class InputError(SutureError):
    """Something the user gave, or this machine lacks; nothing was lost."""

    exit_code = 2


class RecipeError(InputError):
    """The recipe asks for what cannot be."""

    usual_way_out = "Correct the recipe; `suture schema` prints every field with its meaning."


class SourceError(InputError):
    """A source model is missing, incomplete, gated, or of another shape."""

    usual_way_out = "Check the recipe's `sources`: the name, the revision, and what the folder or repository holds."


class CheckpointError(InputError):
    """A safetensors file, its index or its config is malformed."""

    usual_way_out = "Fetch the model again, or use another copy of it: this one is damaged, or made to do harm."


class DataError(InputError):
    """Training or evaluation text cannot be used."""


class ToolError(InputError):
    """An outside tool is missing, incomplete or could not be built."""


class HostError(InputError):
    """This machine cannot do it: disk full, port taken."""


class VerificationError(SutureError):
    """What was made is not what was meant."""


class CorruptArtifactError(SutureError):
    """An artifact in the store is not what its manifest says."""


class TransientError(SutureError):
    """Worth trying again: the network, a server that did not come up."""


class ProcessError(SutureError):
    """A subprocess failed.

    Args:
        problem: One sentence: what was being done.
        status: Exit status; negative for a signal, None for a time-out.
        tail: The last lines of the log.
        where: The log file.
    """

    def __init__(self, problem: str, *, status: int | None, tail: str, where: str | Path | None = None) -> None:
        found = "no end within the time limit" if status is None else f"exit status {status}"
        super().__init__(problem, where=where, expected="exit status 0", found=f"{found}; its last lines:\n{tail}")
        self.status = status
        self.tail = tail
