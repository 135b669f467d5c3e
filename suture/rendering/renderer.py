"""Has chat templates rendered by a limited process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

from pydantic import JsonValue

from suture.errors import DataError, SourceError
from suture.process import Child, start_process, tail
from suture.rendering import worker

Message = Mapping[str, JsonValue]
"""`role`, `content`, and what else a chat template may look at, such as `tool_calls`."""

Cut = tuple[int, bool]
"""How many of the messages to render, and whether to end with the opening of the assistant's next turn."""

_BLOCK = 1 << 16
_ENVIRONMENT = {"PATH": os.defpath, "LANG": "C.UTF-8"}  # nothing of ours: a token may stand there


@dataclass(frozen=True)
class Limits:
    """What the rendering of one conversation may take."""

    cpu: int = 10
    """Seconds of the processor."""
    wall: float = 120.0
    """Seconds until its answer is there: far more than `cpu`, since others may need the processor too."""
    memory: int = 1 << 29
    """Bytes of address space, of the whole process."""
    answer: int = 1 << 25
    """Bytes of the answer."""


@dataclass(frozen=True)
class _Answer:
    """What the process says: one of these, or nothing when it was given the template."""

    texts: list[str] = field(default_factory=list[str])
    refusal: str | None = None
    """Why the template does not take the conversation."""
    fault: str | None = None
    """What is wrong with the template."""


class _EndedError(Exception):
    """The process gives no answer; says why."""


class Renderer:
    """A template in its process. `rendering` makes one.

    Args:
        child: The process.
        ask: Pipe that it reads from.
        answer: Pipe that it writes to.
        log: Where its last words are.
        where: What errors call the template.
        limits: What one rendering may take.
    """

    def __init__(
        self, child: Child, ask: FileIO, answer: FileIO, log: Path, where: str | Path, limits: Limits
    ) -> None:
        self._child = child
        self._ask = ask
        self._answer = answer
        self._log = log
        self._where = where
        self._limits = limits

    def __call__(self, messages: Sequence[Message], where: str | Path, *, prompt: bool = False) -> str:
        """Return a conversation as the template writes it.

        Args:
            messages: The conversation.
            where: What errors call it.
            prompt: End with the opening of the assistant's next turn.

        Raises:
            DataError: When the template refuses the conversation.
            SourceError: When the template is malformed or takes more than the limits.
        """
        (text,) = self.cut(messages, [(len(messages), prompt)], where)
        return text

    def cut(self, messages: Sequence[Message], cuts: Sequence[Cut], where: str | Path) -> list[str]:
        """Return a conversation as the template writes it, as far as each of the cuts.

        Raises:
            DataError: When the template refuses the conversation.
            SourceError: When the template is malformed or takes more than the limits.
        """
        answer = self.request(
            {"messages": [dict(each) for each in messages], "cuts": [[*cut] for cut in cuts]}, where
        )
        if answer.refusal is not None:
            raise DataError(
                "The model's chat template refuses the conversation.",
                where=where,
                expected=f"roles and content that it knows, found {', '.join(str(m.get('role')) for m in messages)}",
                found=answer.refusal,
                way_out="Change or remove the row.",
            )
        return answer.texts

    def request(self, content: JsonValue, where: str | Path | None = None) -> _Answer:
        """Ask the process; `rendering` does so with the template, first of all."""
        concerning = "" if where is None else f" ({where})"
        try:
            self._send(json.dumps(content).encode() + b"\n")
            answer = _Answer(**json.loads(self._receive()))
        except (_EndedError, BrokenPipeError) as error:
            raise self._too_much(self._cause(error) + concerning) from error
        if answer.fault is not None:
            raise SourceError(
                "The chat template cannot be used.",
                where=self._where,
                expected="a template that Jinja's sandbox takes",
                found=answer.fault + concerning,
                way_out=_WAY_OUT,
            )
        return answer

    def _send(self, line: bytes) -> None:
        sent = 0
        while sent < len(line):
            sent += self._ask.write(line[sent:])

    def _receive(self) -> bytes:
        """Return the next line of the process."""
        deadline = time.monotonic() + self._limits.wall
        line = bytearray()
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self._answer], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise _EndedError(f"no end after {self._limits.wall:g} seconds")
            block = self._answer.read(_BLOCK)
            if not block:
                raise _EndedError
            line += block
            if len(line) > self._limits.answer:
                raise _EndedError(f"more than {self._limits.answer >> 20} MB of text")
        return bytes(line)

    def _cause(self, error: Exception) -> str:
        """Return why no answer came."""
        if isinstance(error, _EndedError) and error.args:
            return str(error)
        status = self._child.wait()
        if -status in worker.OUT_OF_TIME:
            return f"more than {self._limits.cpu} seconds of the processor"
        if status == worker.OUT_OF_MEMORY:
            return f"more than {self._limits.memory >> 20} MB of memory"
        return f"its process ended with status {status}: {tail(self._log, 3)}"

    def _too_much(self, found: str) -> SourceError:
        return SourceError(
            "The chat template takes more time or memory than a template may.",
            where=self._where,
            expected=f"at most {self._limits.cpu} seconds and {self._limits.memory >> 20} MB for a conversation",
            found=found,
            way_out=_WAY_OUT,
        )


_WAY_OUT = "Do not use this model, or give the merge a chat template of its own (chat_template)."


@contextlib.contextmanager
def rendering(
    template: str, where: str | Path, *, tokens: Mapping[str, str] | None = None, limits: Limits | None = None
) -> Generator[Renderer]:
    """Start a process that renders a template for conversation after conversation, and end it with the block.

    Args:
        template: The template, in Jinja.
        where: What errors call it: its file, or the model.
        tokens: What it may name, such as `bos_token`.
        limits: What one rendering may take.

    Raises:
        SourceError: When the template is malformed, or takes too much before the first conversation.
    """
    limits = limits or Limits()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        (asked, ask), (answer, answered) = _pipe(stack), _pipe(stack)
        log = Path(folder, "log")
        shared = (asked.fileno(), answered.fileno())
        argv = [sys.executable, "-I", worker.__file__, *map(str, (*shared, limits.cpu, limits.memory))]
        child = stack.enter_context(
            start_process(argv, log=log, cwd=Path(folder), env=_ENVIRONMENT, inherit=shared, grace=0)
        )
        asked.close()
        answered.close()
        renderer = Renderer(child, ask, answer, log, where, limits)
        renderer.request({"template": template, "tokens": dict(tokens or {})})
        yield renderer


def _pipe(stack: contextlib.ExitStack) -> tuple[FileIO, FileIO]:
    """Return the two ends of a pipe, to read from and to write to."""
    read, write = os.pipe()
    return stack.enter_context(FileIO(read, "rb")), stack.enter_context(FileIO(write, "wb"))


def render_limited(
    template: str,
    messages: Sequence[Message],
    where: str | Path,
    *,
    prompt: bool = True,
    tokens: Mapping[str, str] | None = None,
    limits: Limits | None = None,
) -> str:
    """Return one conversation as a template writes it, in a process that ends with it (about 0.2 s).

    Args:
        template: The template, in Jinja.
        messages: The conversation.
        where: What errors call the template: its file, or the model.
        prompt: End with the opening of the assistant's next turn.
        tokens: What the template may name, such as `bos_token`.
        limits: What the rendering may take.

    Raises:
        SourceError: When the template is malformed or takes more than the limits.
        DataError: When it refuses the conversation.
    """
    with rendering(template, where, tokens=tokens, limits=limits) as render:
        return render(messages, where, prompt=prompt)
