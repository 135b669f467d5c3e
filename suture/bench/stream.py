"""A streamed chat completion: from server-sent events to an answer with its timing."""

from __future__ import annotations

import itertools
import time

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from suture.bench.suite import Answer, Failure, Timing, ToolCall


class Broken(Exception):  # noqa: N818 -- what the stream is
    """The stream holds an error, ended too early, or is not a stream of completions."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Function(_Part):
    name: str | None = None
    arguments: str | None = None


class _Call(_Part):
    """A piece of a tool call: the first one of an index brings the name, each a part of the arguments."""

    index: int = 0
    function: _Function = _Function()


class _Delta(_Part):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(_Part):
    delta: _Delta = _Delta()
    finish_reason: str | None = None


class _Usage(_Part):
    prompt_tokens: int
    completion_tokens: int


class _Timings(_Part):
    """llama-server's own account."""

    prompt_per_second: float | None = None
    predicted_per_second: float | None = None


class _Chunk(_Part):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    timings: _Timings | None = None
    error: JsonValue = None


class Stream:
    """Collects one completion while it arrives."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._first_sign: float | None = None  # seconds since the start, as are the arrivals
        self._arrivals: list[float] = []  # of each chunk that holds text
        self._calls: dict[int, ToolCall] = {}
        self._finish = ""
        self._usage: _Usage | None = None
        self._timings = _Timings()

    def take(self, line: str) -> None:
        """Take one line of the stream; comments, blank lines and `[DONE]` say nothing.

        Raises:
            Broken: When it holds an error, or no chunk of a completion.
        """
        data = line.removeprefix("data:").strip()
        if data == line.strip() or data == "[DONE]":
            return
        try:
            chunk = _Chunk.model_validate_json(data)
        except ValidationError as error:
            raise Broken(f"not a chunk of a completion: {data[:200]!r}") from error
        if chunk.error is not None:
            raise Broken(f"an error in the stream: {str(chunk.error)[:500]}")
        for choice in chunk.choices[:1]:
            self._take_choice(choice)
        self._usage = chunk.usage or self._usage
        self._timings = chunk.timings or self._timings

    def check_complete(self) -> None:
        """Check that the server ended the answer, and not its connection.

        Raises:
            Broken: When it did not.
        """
        if not self._finish:
            raise Broken("the stream ended in the middle of the answer")

    def answer(self, failure: Failure = "", detail: str = "") -> Answer:
        """Return what arrived."""
        return Answer(
            text="".join(self._text),
            thinking="".join(self._thinking),
            tool_calls=tuple(call for _, call in sorted(self._calls.items())),
            finish=self._finish,
            failure=failure,
            detail=detail,
            timing=self._timing(),
        )

    def _take_choice(self, choice: _Choice) -> None:
        text, thinking = choice.delta.content or "", choice.delta.reasoning_content or ""
        elapsed = time.monotonic() - self.started
        self._first_sign = elapsed if self._first_sign is None else self._first_sign
        for call in choice.delta.tool_calls or ():
            self._take_call(call)
        if text or thinking or choice.delta.tool_calls:
            self._arrivals.append(elapsed)
        self._text.append(text)
        self._thinking.append(thinking)
        self._finish = choice.finish_reason or self._finish

    def _take_call(self, piece: _Call) -> None:
        before = self._calls.get(piece.index, ToolCall("", "", ""))
        self._calls[piece.index] = ToolCall(
            id=f"call_{piece.index}",  # a server's own are random: two equal answers would differ in them
            name=before.name + (piece.function.name or ""),
            arguments=before.arguments + (piece.function.arguments or ""),
        )

    def _timing(self) -> Timing:
        tokens = self._usage.completion_tokens if self._usage else len(self._arrivals)
        return Timing(
            seconds=time.monotonic() - self.started,
            time_to_first_token=self._arrivals[0] if self._arrivals else self._first_sign,
            prompt_tokens=self._usage.prompt_tokens if self._usage else None,
            tokens=tokens,
            prompt_tokens_per_second=self._timings.prompt_per_second,
            tokens_per_second=self._timings.predicted_per_second or self._clocked_speed(tokens),
            pieces=len(self._arrivals),
            longest_gap=max((b - a for a, b in itertools.pairwise(self._arrivals)), default=None),
        )

    def _clocked_speed(self, tokens: int) -> float | None:
        if len(self._arrivals) < 2 or self._arrivals[-1] == self._arrivals[0]:
            return None
        return (tokens - 1) / (self._arrivals[-1] - self._arrivals[0])
