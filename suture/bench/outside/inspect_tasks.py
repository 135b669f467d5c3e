"""The suites as tasks of inspect_ai: its runner asks, its viewer shows, our sandbox, browser and scorers judge.

    export LLAMA_BASE_URL=http://127.0.0.1:8080/v1 LLAMA_API_KEY=none
    inspect eval suture/bench/outside/inspect_tasks.py@capability --model openai-api/llama/any -T only=basic -T k=5
    inspect view

Temperature 0 and 1024 tokens are asked for unless the command line says otherwise (`--temperature`, `--max-tokens`).
Against llama-server the same tests pass as in `suture bench`, with these differences:

- The category `performance` is left out: inspect_ai does not tell when which piece of an answer arrived.
- Questions are asked one by one, for answers computed together differ in the last bits; `--max-connections` allows
  more.
- inspect_ai mends some malformed arguments of tool calls before we see them, and sends a tool's schema with its keys
  in another order.
- A server that fails three times makes the sample an error and ends the run; `inspect eval-retry` goes on with it.
- Screenshots of pages are not kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from inspect_ai import Epochs, Task, task
from inspect_ai.dataset import MemoryDataset
from inspect_ai.model import GenerateConfig

# the rest stands in modules of their own: inspect_ai runs this file without making it a module
from suture.bench.outside.inspect_judge import judge
from suture.bench.outside.inspect_lead import lead, question_of
from suture.bench.suite import select
from suture.recipe import Sampling

Thinking = Literal["template", "on", "off"]

_MAX_TOKENS = 1024
_RETRIES = 2


@task
def capability(
    only: str | Sequence[str] = (),
    k: int = 1,
    seed: int = 0,
    thinking: Thinking = "template",
    thinking_tokens: int | None = None,
) -> Task:
    """The capability suite, `performance` apart.

    Args:
        only: Categories or tests of the suite; all if left out.
        k: How often each test is asked, each time with another seed.
        seed: Seed of the first time.
        thinking: Whether the model thinks before it answers.
        thinking_tokens: Most tokens of thinking; only llama-server keeps to it.
    """
    return _task(
        "capability", only, Sampling(repeats=k, seed=seed, thinking=thinking, thinking_tokens=thinking_tokens)
    )


@task
def multi_turn(
    only: str | Sequence[str] = (),
    k: int = 1,
    seed: int = 0,
    thinking: Thinking = "template",
    thinking_tokens: int | None = None,
) -> Task:
    """Long conversations and long answers; arguments as in `capability`."""
    return _task(
        "multi_turn", only, Sampling(repeats=k, seed=seed, thinking=thinking, thinking_tokens=thinking_tokens)
    )


@task
def human_eval(
    only: str | Sequence[str] = (),
    k: int = 1,
    seed: int = 0,
    thinking: Thinking = "template",
    thinking_tokens: int | None = None,
) -> Task:
    """HumanEval's 164 functions; arguments as in `capability`."""
    return _task(
        "human_eval", only, Sampling(repeats=k, seed=seed, thinking=thinking, thinking_tokens=thinking_tokens)
    )


@task
def frontend(
    only: str | Sequence[str] = (),
    k: int = 1,
    seed: int = 0,
    thinking: Thinking = "template",
    thinking_tokens: int | None = None,
) -> Task:
    """The frontend stress test; arguments as in `capability`."""
    return _task("frontend", only, Sampling(repeats=k, seed=seed, thinking=thinking, thinking_tokens=thinking_tokens))


def _task(suite: str, only: str | Sequence[str], sampling: Sampling) -> Task:
    among = select((only,) if isinstance(only, str) else only) if only else None
    tests = [test for test in select((suite,)) if not test.alone and (among is None or test in among)]
    return Task(
        dataset=MemoryDataset([question_of(test) for test in tests], name=suite),
        solver=lead(sampling),
        scorer=judge(),
        epochs=Epochs(sampling.repeats, "mean"),
        config=GenerateConfig(
            temperature=0.0, top_p=1.0, max_tokens=_MAX_TOKENS, max_connections=1, max_retries=_RETRIES
        ),
    )
