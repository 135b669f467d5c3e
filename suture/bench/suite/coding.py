"""A test whose answer is code: from what was said to the blocks that are run, and from what they did to a score."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from suture.bench.sandbox import Execution, Limits, Program
from suture.bench.suite.form import ErrorClass, Message, Request, Score, Test, Transcript, asks, right, wrong
from suture.bench.suite.harness import CodeLanguage, Raised, Report, calling, read_report, same, shown
from suture.bench.suite.reading import Fence, fences, parsed

_JAVASCRIPT = frozenset({"", "javascript", "js", "node", "nodejs", "jsx", "mjs", "typescript", "ts"})


@dataclass(frozen=True)
class Case:
    """A call of what the model wrote, and what it should return.

    Attributes:
        call: An expression in the task's language.
        expected: Its value; only the scorer knows it.
    """

    call: str
    expected: object


@dataclass(frozen=True)
class Task:
    """Code to be written, and the cases that it must get right.

    Attributes:
        name: The function or class that was asked for.
        cases: Judged in this order.
        language: What it is to be written in.
        given: Code that the question gives; runs before the answer's.
        same: Whether a result is what was expected.
        objection: What speaks against Python code that gives the right results, by its tree; empty if nothing does.
        limits: What it may use; those of its language when None.
    """

    name: str
    cases: tuple[Case, ...]
    language: CodeLanguage = "python"
    given: str = ""
    same: Callable[[object, object], bool] = same
    objection: Callable[[ast.Module], str] = lambda _: ""
    limits: Limits | None = None

    def programs(self, transcript: Transcript) -> tuple[Program, ...]:
        """Return the program that calls what the model wrote; none where it wrote nothing that can be run."""
        blocks = self.blocks(transcript)
        calls = [case.call for case in self.cases]
        given = [self.given] if self.given else []
        program = calling(self.language, [*given, *blocks], calls, name=self.name, limits=self.limits)
        return (program,) if blocks else ()

    def score(self, transcript: Transcript) -> Score:
        """Score what the calls returned, or why there is nothing to call."""
        blocks = self.blocks(transcript)
        verdict = score_code(transcript, blocks, self.judge, name=self.name, language=self.language)
        if not verdict.passed or self.language == "javascript":
            return verdict
        tree = parsed("\n".join(blocks))
        objection = self.objection(tree) if tree else ""
        return wrong("wrong_answer", objection) if objection else verdict

    def blocks(self, transcript: Transcript) -> list[str]:
        """Return the code blocks that can be run: all of them, for helpers and examples may stand in their own.

        The last definition of a name counts, as it would for anybody who runs them in order.
        """
        return [fence.code for fence in complete(transcript) if self._can_run(fence)]

    def _can_run(self, fence: Fence) -> bool:
        if self.language == "javascript":
            return fence.language in _JAVASCRIPT
        return parsed(fence.code) is not None

    def judge(self, execution: Execution, report: Report) -> Score:
        """Score what the calls came to."""
        for case, result in zip(self.cases, report.results, strict=False):
            if isinstance(result, Raised):
                return raised(case.call, result, report)
            if not self.same(result, case.expected):
                return wrong("wrong_answer", f"{case.call} gives {shown(result)}, not {shown(case.expected)}")
        if len(report.results) < len(self.cases):
            return ended_early(execution, self.cases[len(report.results)].call)
        return right(f"right in {len(self.cases)} cases")


_TITLES = {"python": "Python", "javascript": "JavaScript"}


def score_code(
    transcript: Transcript,
    blocks: Sequence[str],
    judge: Callable[[Execution, Report], Score],
    *,
    name: str,
    language: CodeLanguage = "python",
) -> Score:
    """Return the score of code whose calls were run.

    Args:
        transcript: Has the execution of the one program, if there were blocks to run.
        blocks: What was run.
        judge: Scores what the calls came to.
        name: The function that was asked for.
        language: What it was to be written in.
    """
    verdict = _score_code(transcript, blocks, judge, f"the code block with {name} is no {_TITLES[language]}")
    if transcript.cut_off and verdict.error_class in {"no_fence", "syntax", "name"}:
        return wrong("length", "cut off before the code was complete")
    return verdict


def _score_code(
    transcript: Transcript, blocks: Sequence[str], judge: Callable[[Execution, Report], Score], unread: str
) -> Score:
    if not fences(transcript.text):
        return wrong("no_fence", "there is no code block")
    if not blocks:
        return wrong("syntax", unread)
    (execution,) = transcript.executions
    verdict = not_run(execution) or judge(execution, read_report(execution))
    is_unread = verdict.error_class == "name" and len(blocks) < len(complete(transcript))
    return wrong("syntax", unread) if is_unread else verdict


def complete(transcript: Transcript) -> list[Fence]:
    """Return the code blocks of the answer, without the one in which it was cut off."""
    return [fence for fence in fences(transcript.text) if fence.closed or not transcript.cut_off]


def not_run(execution: Execution) -> Score | None:
    """Return the score of a program that nothing here can run, or confine; None if it was run."""
    if execution.outcome in {"no_sandbox", "no_runner"}:
        return wrong("not_run", f"nothing here can run it: {execution.outcome}")
    return None


def ended_early(execution: Execution, doing: str) -> Score:
    """Return the score of a program that did not live to report."""
    if execution.outcome == "timeout":
        return wrong("run_timeout", f"no end of {doing} after {execution.seconds:.0f} s")
    if execution.outcome in {"memory", "output"}:
        return wrong("resources", f"used too much {execution.outcome} in {doing}")
    return wrong("crash", f"its process ended in {doing}, {execution.outcome} with status {execution.status}")


def raised(call: str, error: Raised, report: Report) -> Score:
    """Return the score of a call that raised an error."""
    cause = _cause(error, report) if error.at_call else None
    why = f"{call} raised {error}" if cause is None else f"the code failed with {cause}"
    return wrong(_blame(error, cause), why)


def _blame(error: Raised, cause: Raised | None) -> ErrorClass:
    if error.at_call and error.kind == "TypeError":
        return "signature"
    if error.at_call and error.kind in {"NameError", "AttributeError"}:
        return "name" if cause is None else "syntax" if cause.kind == "SyntaxError" else "crash"
    return "resources" if error.kind == "MemoryError" else "crash"


def _cause(error: Raised, report: Report) -> Raised | None:
    """Return why a name is missing: what ended a block early, other than the same lack."""
    return next((broken for broken in report.broken if broken.text != error.text), None)


def cases(name: str, *rows: tuple[Sequence[object], object]) -> tuple[Case, ...]:
    """Return the cases of a function: rows of its arguments and what it should return."""
    return tuple(Case(f"{name}({', '.join(map(repr, given))})", expected) for given, expected in rows)


def coding_test(*, id: str, title: str, question: str, task: Task, language: str = "Python") -> Test:  # noqa: A002
    """Return the test that asks for code in one block."""
    asked = f"{question} Reply with one {language} code block."
    if "\n" in question:
        asked = f"{question}\n\nReply with one {language} code block."
    return Test(
        id=id,
        category="programming",
        title=title,
        talk=asks(Request((Message("user", asked),))),
        score=task.score,
        programs=task.programs,
    )
