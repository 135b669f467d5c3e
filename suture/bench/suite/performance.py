"""The category `performance`: does the server stream, and is it steady? Judged by times, not by what is said."""

from __future__ import annotations

import statistics

from suture.bench.suite.form import Message, Request, Score, Test, Timing, Transcript, asks, right, wrong

_COUNT = Request(
    (Message("user", "Count from 1 to 60. Write the numbers only, separated by spaces."),),
    temperature=0.0,
    max_tokens=64,
)

_FEWEST_TOKENS = 16
"""An answer of fewer says nothing about a stream or a speed."""

# -- SSE streaming --------------------------------------------------------------------------------------------

_TOKENS_PER_PIECE = 8.0
"""Servers send a token or a few at a time; some gather those of a few milliseconds."""
_LATEST_FIRST = 0.5
"""The first piece comes in the first half of the time: the question is shorter than the answer, and is read faster
than an answer is written. A server that collects the answer first, to send it in however many pieces, begins late."""
_LONGEST_GAP_SECONDS = 2.0
_LONGEST_GAP_SHARE = 0.25
"""A pause is a stall if it is longer than both of these, the second as a share of the whole time: on a slow machine,
every token takes long."""


def score_streaming(transcript: Transcript) -> Score:
    """The answer came piece by piece: the first one soon, and the others without a long pause."""
    timing = transcript.answers[-1].timing
    if (timing.tokens or 0) < _FEWEST_TOKENS:
        return wrong("wrong_answer", f"{timing.tokens or 0} tokens are too few to judge a stream")
    if timing.pieces * _TOKENS_PER_PIECE < (timing.tokens or 0):
        return wrong("stalls", f"{timing.tokens} tokens came in {timing.pieces} pieces")
    first, gap = timing.time_to_first_token or 0.0, timing.longest_gap or 0.0
    if first > _LATEST_FIRST * timing.seconds:
        return wrong("stalls", f"the first text came after {first:.2f} of {timing.seconds:.2f} s")
    if gap > max(_LONGEST_GAP_SECONDS, _LONGEST_GAP_SHARE * timing.seconds):
        return wrong("stalls", f"paused for {gap:.2f} of {timing.seconds:.2f} s")
    return right(f"first text after {first:.2f} s, {timing.pieces} pieces, longest pause {gap:.2f} s")


# -- throughput consistency -----------------------------------------------------------------------------------

_REPEATS = 5
_MOST_VARIATION = 0.2
"""Largest coefficient of variation: above what repeats on a shared machine differ by, below what a server does that
throttles, swaps or serves others."""


def score_throughput(transcript: Transcript) -> Score:
    """The speed of generation hardly differs between repeats; the first one, which warms up, does not count."""
    timings = [answer.timing for answer in transcript.answers[1:]]
    speeds = [timing.tokens_per_second for timing in timings if _tells(timing)]
    known = [speed for speed in speeds if speed]
    if len(known) < _REPEATS:
        return wrong("wrong_answer", f"only {len(known)} of {_REPEATS} answers are long enough to tell a speed")
    variation = statistics.stdev(known) / statistics.fmean(known)
    if variation > _MOST_VARIATION:
        return wrong("stalls", f"{min(known):.1f} to {max(known):.1f} tokens/s: a variation of {variation:.0%}")
    return right(f"{statistics.fmean(known):.1f} tokens/s with a variation of {variation:.1%}")


def _tells(timing: Timing) -> bool:
    return (timing.tokens or 0) >= _FEWEST_TOKENS


PERFORMANCE: tuple[Test, ...] = (
    Test(
        id="streaming",
        category="performance",
        title="SSE streaming",
        talk=asks(_COUNT),
        score=score_streaming,
        alone=True,
    ),
    Test(
        id="throughput",
        category="performance",
        title="throughput consistency over repeats",
        talk=asks(*[_COUNT] * (_REPEATS + 1)),
        score=score_throughput,
        alone=True,
    ),
)
