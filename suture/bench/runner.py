"""Asks an endpoint the questions of a suite, several at once; knows nothing of single tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

from suture.bench.chat import Chat
from suture.bench.samples import Place, Sample
from suture.bench.suite import Answer, Request, Talk, Test, Transcript, flaw, grade, unfit
from suture.recipe import Sampling

Examine = Callable[[Test, Transcript], Transcript]
"""Does what is to be done with the answers before they are scored: runs code, opens pages. Called in a thread."""


async def run_suite(
    chat: Chat,
    tests: Sequence[Test],
    sampling: Sampling,
    examine: Examine,
    take: Callable[[Sample], None],
    *,
    done: Collection[Place] = (),
    concurrency: int = 1,
) -> None:
    """Ask every test's questions, as often as `sampling` says, and hand over each sample as it is complete.

    An answer that fails is scored as what it is (`timeout`, `server_error`) and the suite goes on, as long as the
    server is there. Tests that take times are asked last, one after the other, with nothing beside them.

    Args:
        chat: The endpoint.
        tests: What to ask.
        sampling: How answers are drawn; the seed of each repeat is the first one's plus its number.
        examine: What to do with the answers before they are scored.
        take: Called with each sample; with a concurrency of 1 in the tests' order.
        done: What an earlier attempt has asked already.
        concurrency: How many tests are asked at once. On one server, answers asked together are computed together,
            which moves the last bits of the logits: ask one by one where the same seed must give the same answer.

    Raises:
        TransientError: When the server is gone; that says nothing about the model.
    """
    asker = _Asker(chat, sampling, examine)
    wanted = [(test, repeat) for test in tests for repeat in range(sampling.repeats)]
    wanted = [(test, repeat) for test, repeat in wanted if Place(test.id, repeat) not in done]
    await _all([pair for pair in wanted if not pair[0].alone], asker.sample, take, concurrency)
    await _all([pair for pair in wanted if pair[0].alone], asker.sample, take, 1)


async def _all(
    wanted: Sequence[tuple[Test, int]],
    sample: Callable[[Test, int], Awaitable[Sample]],
    take: Callable[[Sample], None],
    concurrency: int,
) -> None:
    """Make all samples, `concurrency` at a time, begun in order."""
    waiting = iter(wanted)

    async def work() -> None:
        for test, repeat in waiting:
            take(await sample(test, repeat))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(concurrency, len(wanted))):
                group.create_task(work())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures.exceptions[0].__cause__  # the first ended the others


class _Asker:
    def __init__(self, chat: Chat, sampling: Sampling, examine: Examine) -> None:
        self._chat = chat
        self._sampling = sampling
        self._examine = examine

    async def sample(self, test: Test, repeat: int) -> Sample:
        """Ask one test once, and score it."""
        seed = self._sampling.seed + repeat
        hopeless = unfit(test, self._chat.server)
        if hopeless is not None:
            return Sample.of(test, repeat, seed, Transcript((), self._chat.server), hopeless)

        async def ask(request: Request) -> Answer:
            answer = await self._chat.ask(request, self._sampling, seed=seed)
            if answer.failure:
                await self._chat.check_alive()
            return answer

        requests, answers = await converse(test.talk(), ask)
        transcript = Transcript(answers, self._chat.server, requests)
        if flaw(transcript) is None:
            transcript = await asyncio.to_thread(self._examine, test, transcript)
        return Sample.of(test, repeat, seed, transcript, grade(test, transcript))


async def converse(
    talk: Talk, ask: Callable[[Request], Awaitable[Answer]]
) -> tuple[tuple[Request, ...], tuple[Answer, ...]]:
    """Lead a conversation to its end, or to the first answer that fails."""
    requests: list[Request] = []
    answers: list[Answer] = []
    request = next(talk, None)
    while request is not None:
        requests.append(request)
        answers.append(await ask(request))
        request = None if answers[-1].failure else _next(talk, answers[-1])
    talk.close()
    return tuple(requests), tuple(answers)


def _next(talk: Talk, answer: Answer) -> Request | None:
    try:
        return talk.send(answer)
    except StopIteration:
        return None
