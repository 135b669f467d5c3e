"""Asks an endpoint the questions of a suite; knows nothing of single tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from suture.bench.chat import Chat
from suture.bench.sandbox import run_program
from suture.bench.suite import Answer, Request, Score, Talk, Test, Transcript, flaw, grade


@dataclass(frozen=True)
class Sample:
    """One test, asked once.

    Attributes:
        test: What was asked.
        max_tokens: Longest answer allowed.
        seed: Seed of the sampling.
        transcript: What was answered.
        score: The verdict.
    """

    test: Test
    max_tokens: int
    seed: int
    transcript: Transcript
    score: Score

    @property
    def seconds(self) -> float:
        """Wall time of all its answers."""
        return sum(answer.timing.seconds for answer in self.transcript.answers)

    def row(self) -> dict[str, object]:
        """Return the sample as one line of samples.jsonl; all that a clock had a part in is under `timings`."""
        answers = [asdict(answer) for answer in self.transcript.answers]
        timings = [answer.pop("timing") for answer in answers]
        return {
            "test": self.test.id,
            "category": self.test.category,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "requests": [asdict(request) for request in self.transcript.requests],
            "answers": answers,
            "score": asdict(self.score),
            "timings": timings,
        }


def run_suite(chat: Chat, tests: Sequence[Test], *, max_tokens: int, seed: int) -> Iterator[Sample]:
    """Ask every test's questions, one after the other, and yield each sample as it is complete.

    An answer that fails is scored as what it is (`timeout`, `server_error`) and the suite goes on, as long as the
    server is there.

    Raises:
        TransientError: When the server is gone; that says nothing about the model.
    """

    def ask(request: Request) -> Answer:
        answer = chat.ask(request, max_tokens=max_tokens, seed=seed)
        if answer.failure:
            chat.check_alive()
        return answer

    for test in tests:
        requests, answers = converse(test.talk(), ask)
        transcript = Transcript(answers, chat.server, requests)
        if flaw(transcript) is None:
            transcript = replace(transcript, executions=tuple(map(run_program, test.programs(transcript))))
        yield Sample(test, max_tokens, seed, transcript, grade(test, transcript))


def converse(talk: Talk, ask: Callable[[Request], Answer]) -> tuple[tuple[Request, ...], tuple[Answer, ...]]:
    """Lead a conversation to its end, or to the first answer that fails."""
    requests: list[Request] = []
    answers: list[Answer] = []
    try:
        request = next(talk)
        while True:
            requests.append(request)
            answers.append(ask(request))
            if answers[-1].failure:
                break
            request = talk.send(answers[-1])
    except StopIteration:
        pass
    talk.close()
    return tuple(requests), tuple(answers)
