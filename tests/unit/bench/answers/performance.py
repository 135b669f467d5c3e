"""What a perfect endpoint and an adversary send to the tests of performance: here, times count and not words."""

from __future__ import annotations

from suture.bench.suite import Answer, Timing

COUNTED = " ".join(map(str, range(1, 25)))
STEADY = Timing(
    seconds=1.3,
    time_to_first_token=0.05,
    tokens=64,
    tokens_per_second=51.0,
    pieces=64,
    longest_gap=0.04,
)
AT_ONCE = Timing(seconds=1.3, time_to_first_token=1.29, tokens=64, tokens_per_second=51.0, pieces=1)

PERFECT: dict[str, tuple[Answer | str, ...]] = {
    "streaming": (Answer(COUNTED, finish="length", timing=STEADY),),
    "throughput": (Answer(COUNTED, finish="length", timing=STEADY),),
}

ADVERSARY: dict[str, tuple[Answer | str, ...]] = {
    "streaming": (Answer(f"{COUNTED} streamed, no gaps", timing=AT_ONCE),),
    "throughput": tuple(
        Answer(
            "steady: 51.0 51.0 51.0 51.0 51.0",
            timing=Timing(seconds=1.3, tokens=64, tokens_per_second=speed, pieces=64),
        )
        for speed in (50.0, 50.0, 20.0, 50.0, 20.0, 50.0)
    ),
}
