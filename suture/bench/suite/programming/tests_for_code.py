"""Tests to be written: they must pass on a right implementation, and each of several wrong ones must fail one."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, ValidationError

from suture.bench.sandbox import Execution, Limits, Program
from suture.bench.suite.coding import complete, ended_early, not_run
from suture.bench.suite.form import Message, Request, Score, Test, Transcript, asks, right, wrong
from suture.bench.suite.harness import inside
from suture.bench.suite.reading import fences, parsed

_MODULE = "middle"

_GOOD = """\
def median(values):
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
"""

_BAD = {
    "takes the middle without sorting": _GOOD.replace("sorted(values)", "list(values)"),
    "takes the upper of two middle values": _GOOD.replace("(ordered[half - 1] + ordered[half]) / 2", "ordered[half]"),
    "returns 0 for an empty list": _GOOD.replace('raise ValueError("no values")', "return 0"),
    "sorts the caller's list": _GOOD.replace("ordered = sorted(values)", "values.sort()\n    ordered = values"),
}
"""Wrong implementations, by what is wrong with them."""

_QUESTION = f"""\
The Python module {_MODULE} has a function median(values) that takes a list of numbers in any order. \
For an odd count of values it returns the one in the middle of the sorted values, for an even count the mean of the \
two in the middle. For an empty list it raises ValueError. The list that is passed in must stay as it is.

Write tests with pytest that find every mistake which an implementation of this could have. \
Begin with 'from {_MODULE} import median'; do not write the function itself. Reply with one Python code block."""


def _programs(transcript: Transcript) -> tuple[Program, ...]:
    tests = _tests(transcript)
    if tests is None:
        return ()
    job = json.dumps({"module": _MODULE, "implementations": [_GOOD, *_BAD.values()]})
    files = {"test_answer.py": tests, "job.json": job, "main.py": inside("pytest_runs.py")}
    return (Program("python", files, "main.py", limits=_LIMITS),)


def _tests(transcript: Transcript) -> str | None:
    """Return the code blocks as one file; None where none is Python."""
    blocks = [fence.code for fence in complete(transcript) if parsed(fence.code) is not None]
    return "\n\n".join(blocks) if blocks else None


_LIMITS = Limits(seconds=30, cpu_seconds=30)  # pytest itself, once for each implementation


class _Run(BaseModel):
    """What the tests said of one implementation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    implementation: int
    passed: int
    failed: int
    first_error: str


def score_tests(transcript: Transcript) -> Score:
    """The tests pass on what is right, and fail on all that is wrong."""
    if _tests(transcript) is None and transcript.cut_off:
        return wrong("length", "cut off before the tests were complete")
    if _tests(transcript) is None:
        return wrong("syntax" if fences(transcript.text) else "no_fence", "there is no code block with Python")
    (execution,) = transcript.executions
    return not_run(execution) or _score_runs(execution, _read(execution))


def _score_runs(execution: Execution, runs: Mapping[int, _Run]) -> Score:
    if 0 not in runs:
        return ended_early(execution, "the tests of a right median()")
    if not runs[0].passed or runs[0].failed or runs[0].first_error:
        return _score_unfit(runs[0])
    for number, mistake in enumerate(_BAD, start=1):
        if number not in runs:
            return ended_early(execution, f"the tests of a median() that {mistake}")
        if not runs[number].failed:
            return wrong("wrong_answer", f"no test fails for a median() that {mistake}")
    return right(f"passes on a right median(), and notices {len(_BAD)} mistakes")


def _score_unfit(run: _Run) -> Score:
    """Return the score of tests that do not pass on what is right."""
    if run.failed:
        return wrong("wrong_answer", f"fails on a right median(): {run.first_error}")
    if run.first_error:
        return wrong("crash", f"cannot be collected: {run.first_error}")
    return wrong("wrong_answer", "has no test that pytest runs")


def _read(execution: Execution) -> dict[int, _Run]:
    runs: dict[int, _Run] = {}
    for line in execution.output.split("\n"):
        try:
            run = _Run.model_validate_json(line)
        except ValidationError:
            continue
        runs.setdefault(run.implementation, run)
    return runs


WRITES_TESTS = Test(
    id="writes-tests",
    category="programming",
    title="writes pytest tests",
    talk=asks(Request((Message("user", _QUESTION),))),
    score=score_tests,
    programs=_programs,
)
