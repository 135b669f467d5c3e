"""Asks an endpoint the questions of a suite; knows nothing of single tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from suture.bench.chat import Chat
from suture.bench.suite import Answer, Score, Test, Transcript, grade


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
            "requests": [asdict(request) for request in self.test.requests],
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
    for test in tests:
        transcript = Transcript(tuple(_ask_all(chat, test, max_tokens, seed)), chat.server)
        yield Sample(test, max_tokens, seed, transcript, grade(test, transcript))


def _ask_all(chat: Chat, test: Test, max_tokens: int, seed: int) -> Iterator[Answer]:
    for request in test.requests:
        answer = chat.ask(request, max_tokens=max_tokens, seed=seed)
        yield answer
        if answer.failure:
            chat.check_alive()
            return
