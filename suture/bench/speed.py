"""How fast a model answers: medians over repeats of one fixed request."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from suture.bench.chat import Chat
from suture.bench.suite import Message, Request, Timing
from suture.errors import TransientError
from suture.gguf.measured import Measured
from suture.recipe import Sampling

REPEATS = 5
TOKENS = 64
"""Length of each generation."""

_REQUEST = Request(
    (
        Message(
            "user",
            "Below is the start of a travel diary. Continue it in the same voice, with plain sentences.\n\n"
            "We left the harbour before sunrise, while the market women were still setting up their stalls and the "
            "gulls had the quay to themselves. The road climbed for an hour between stone walls and olive trees, and "
            "at the top of the pass the driver stopped so that we could look back at the sea. Nobody said much. "
            "Someone cut a loaf of bread, someone else had cheese, and we ate standing in the wind.",
        ),
    )
)
"""About a hundred tokens, so that reading the prompt can be timed, and small enough for every context."""

_MEDIAN_TO_MEAN = math.sqrt(math.pi / 2)
"""Standard error of a median relative to that of a mean, for normal values."""
_MAD_TO_DEVIATION = 1.4826
"""Standard deviation of normal values relative to their median absolute deviation."""


@dataclass(frozen=True)
class Speed:
    """Speed of one model on this machine.

    Attributes:
        tokens_per_second: While generating.
        prompt_tokens_per_second: While reading the prompt; None where the server does not say.
        time_to_first_token: Seconds, as the client sees it: prompt and connection included.
    """

    tokens_per_second: Measured
    prompt_tokens_per_second: Measured | None
    time_to_first_token: Measured


async def measure_speed(chat: Chat, *, repeats: int = REPEATS, tokens: int = TOKENS) -> Speed | None:
    """Time short generations of fixed length, after one that warms up caches and clocks.

    Returns:
        The speed; None where the model says too little to be timed, which only llama-server can be kept from.

    Raises:
        TransientError: When an answer fails.
    """
    _, *timings = [await _timed(chat, tokens) for _ in range(1 + repeats)]
    speeds = _known(timing.tokens_per_second for timing in timings)
    waits = _known(timing.time_to_first_token for timing in timings)
    if not speeds or not waits:
        return None
    prompt_speeds = _known(timing.prompt_tokens_per_second for timing in timings)
    return Speed(median(speeds), median(prompt_speeds) if prompt_speeds else None, median(waits))


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def median(values: Sequence[float]) -> Measured:
    """Return the median and its standard error, from the median absolute deviation: one hiccup moves neither."""
    middle = statistics.median(values)
    deviation = _MAD_TO_DEVIATION * statistics.median(abs(value - middle) for value in values)
    return Measured(middle, _MEDIAN_TO_MEAN * deviation / math.sqrt(len(values)))


async def _timed(chat: Chat, tokens: int) -> Timing:
    answer = await chat.ask(_REQUEST, Sampling(max_tokens=tokens), seed=0, to_the_limit=True)
    if answer.failure:
        raise TransientError(
            "The speed could not be measured.", expected=f"an answer of {tokens} tokens", found=answer.detail
        )
    return answer.timing
