"""The benchmark's coroutines, each run to its end: tests need no event loop of their own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Generator, Sequence
from typing import Any, TypeVar

from suture.bench.chat import Chat, connect
from suture.bench.lab import run_programs
from suture.bench.runner import run_suite
from suture.bench.samples import Sample
from suture.bench.suite import Answer, Request, Test
from suture.recipe import Sampling

T = TypeVar("T")


class Connection:
    """A connected chat and the loop it lives in."""

    def __init__(self, runner: asyncio.Runner, chat: Chat) -> None:
        self._runner = runner
        self.chat = chat
        self.server = chat.server

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(coroutine)

    def ask(self, request: Request, sampling: Sampling, *, seed: int = 3, to_the_limit: bool = False) -> Answer:
        return self.run(self.chat.ask(request, sampling, seed=seed, to_the_limit=to_the_limit))

    def suite(self, tests: Sequence[Test], sampling: Sampling, into: list[Sample], **more: Any) -> list[Sample]:
        """Ask the tests; `into` also holds what came before an error."""
        self.run(run_suite(self.chat, tests, sampling, run_programs, into.append, **more))
        return into


@contextlib.contextmanager
def connected(url: str) -> Generator[Connection]:
    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        chat = runner.run(stack.enter_async_context(connect(url)))
        try:
            yield Connection(runner, chat)
        finally:
            runner.run(stack.aclose())
