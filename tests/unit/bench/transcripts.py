"""Transcripts as the runner would make them."""

from __future__ import annotations

from suture.bench.suite import SUITE, Answer, Score, Server, Transcript, grade

HEALTHY = Server(models=("scripted",), healthy=True)


def transcript(*texts: str, finish: str = "stop", thinking: str = "", server: Server = HEALTHY) -> Transcript:
    """Return what a scorer would see had the model said this, in answer to one request each."""
    return Transcript(tuple(Answer(text, thinking=thinking, finish=finish) for text in texts), server)


def score(test: str, *texts: str, finish: str = "stop", thinking: str = "", server: Server = HEALTHY) -> Score:
    """Return the score of the test with this id had the model said this."""
    (found,) = [each for each in SUITE if each.id == test]
    return grade(found, transcript(*texts, finish=finish, thinking=thinking, server=server))
