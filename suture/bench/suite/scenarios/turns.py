"""A conversation of many turns, each of which has a rule for its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from suture.bench.sandbox import Execution, Program
from suture.bench.suite.coding import ended_early, not_run, raised
from suture.bench.suite.form import Message, Request, Score, Talk, Test, Transcript, right, wrong
from suture.bench.suite.harness import Raised, Report, calling, read_report, same
from suture.bench.suite.reading import code_blocks

Check = Callable[[str], Score]
"""Judges what was visibly said in one turn."""


@dataclass(frozen=True)
class Call:
    """A call of a function that an answer defines.

    Attributes:
        name: The function.
        arguments: What it is given.
        expected: What it must return; only the scorer knows it.
    """

    name: str
    arguments: tuple[object, ...]
    expected: object

    @property
    def shown(self) -> str:
        """The call as code."""
        return f"{self.name}({', '.join(map(repr, self.arguments))})"


@dataclass(frozen=True)
class Turn:
    """One thing the user says.

    Attributes:
        says: The message.
        check: What the answer must be, with all that was said before.
        calls: What the code in the answer must do.
    """

    says: str
    check: Check
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Scenario:
    """A conversation.

    Attributes:
        system: What holds throughout.
        turns: What the user says, in order; the same whatever is answered.
    """

    system: str
    turns: tuple[Turn, ...]

    def talk(self) -> Talk:
        """Say all turns, each with the model's own answers to those before."""
        messages: tuple[Message, ...] = (Message("system", self.system),)
        for turn in self.turns:
            messages = (*messages, Message("user", turn.says))
            answer = yield Request(messages)
            messages = (*messages, Message("assistant", answer.visible))

    def programs(self, transcript: Transcript) -> tuple[Program, ...]:
        """Return the one program that makes the calls of all turns whose form is right; none where there are none."""
        calls = [
            # each answer is a module of its own, so that none can lean on what another one defined
            f"__import__('runpy').run_path('turn_{number}.py')[{call.name!r}](*{call.arguments!r})"
            for number, (turn, answer) in enumerate(zip(self.turns, transcript.answers, strict=True), start=1)
            for call in (turn.calls if turn.check(answer.visible).passed else ())
        ]
        if not calls:
            return ()
        program = calling("python", [], calls)
        modules = {
            f"turn_{number}.py": "\n".join(code_blocks(answer.visible))
            for number, answer in enumerate(transcript.answers, start=1)
        }
        return (replace(program, files={**program.files, **modules}),)

    def score(self, transcript: Transcript) -> Score:
        """Every turn is right; else say how many are, and which one broke first."""
        total = len(self.turns)
        verdicts = list(self._verdicts(transcript))
        broken = [number for number, verdict in enumerate(verdicts) if not verdict.passed]
        if not broken:
            return right(f"all {total} turns are right")
        first, cut_off = verdicts[broken[0]], transcript.answers[broken[0]].finish == "length"
        count = f"{total - len(broken)} of {total} turns are right"
        why = f"{count}; turn {broken[0] + 1} is the first that is not: {first.why}"
        return wrong("length" if cut_off else first.error_class, why)

    def _verdicts(self, transcript: Transcript) -> Iterator[Score]:
        """Yield the score of each turn."""
        done = 0
        for turn, answer in zip(self.turns, transcript.answers, strict=True):
            verdict = turn.check(answer.visible)
            if verdict.passed and turn.calls:
                called = [_called(call, n, transcript.executions[0]) for n, call in enumerate(turn.calls, start=done)]
                verdict = next((each for each in called if not each.passed), verdict)
                done += len(called)
            yield verdict


def _called(call: Call, number: int, execution: Execution) -> Score:
    """Score one call by its number within the program."""
    report = read_report(execution)
    if len(report.results) <= number:
        return not_run(execution) or ended_early(execution, call.shown)
    result = report.results[number]
    if isinstance(result, Raised):
        return raised(call.shown, result, Report((), ()))
    if not same(result, call.expected):
        return wrong("wrong_answer", f"{call.shown} gives {result!r:.200}, not {call.expected!r:.200}")
    return right(f"{call.shown} is right")


def as_test(name: str, title: str, scenario: Scenario, *, context: int = 6144) -> Test:
    """Return a scenario as a test of the category `multi_turn`."""
    return Test(
        id=name,
        category="multi_turn",
        title=title,
        talk=scenario.talk,
        score=scenario.score,
        programs=scenario.programs,
        context=context,
    )
