"""The category `agentic`: tasks that take several calls, each depending on what the last one said.

What is scored is the world that the model leaves behind, not what it says about it. The worlds are in `errands.py`
and `repository.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from suture.bench.suite.calls import forms
from suture.bench.suite.errands import RELEASE, SHOP, TABLE, Cart, Jobs, Reservations
from suture.bench.suite.form import Score, Test, Transcript, right, wrong
from suture.bench.suite.repository import REPOSITORY, Repository
from suture.bench.suite.worlds import World, replay

S = TypeVar("S")


def _ends(world: World[S], flaw: Callable[[S], str]) -> Callable[[Transcript], Score]:
    """Return the scorer that passes a world without flaw, which the model left by itself."""

    def score(transcript: Transcript) -> Score:
        """Score the state after the last call."""
        history = replay(world, transcript)
        if not history.calls:
            return wrong("length" if transcript.cut_off else "no_call", "did nothing: called no tool")
        steps = f"after {len(history.calls)} calls, {forms(history.calls)}"
        if not history.ended:
            return wrong("too_many_steps", f"no end within {world.steps} answers ({steps})")
        found = flaw(history.state)
        return wrong("wrong_state", f"{found} ({steps})") if found else right(f"all is as it should be ({steps})")

    return score


def _jobs_flaw(state: Jobs) -> str:
    """Published, by the jobs it takes and no others, each at its time."""
    if not state.published:
        return f"version 2.4.0 is not published; ran {', '.join(state.done) or 'nothing'}"
    if state.refused:
        return f"started {state.refused[0]} before what it needs was done"
    if state.needless:
        return f"ran {', '.join(state.needless)}, which publishing does not need"
    return ""


def _repository_flaw(state: Repository) -> str:
    """All tests would pass, and nothing is changed but what was wrong."""
    failed = state.failures()
    if failed:
        return f"tests still fail: {failed[0]}"
    return "" if state.tested else "the tests were not run after the last change"


def _table_flaw(state: Reservations) -> str:
    """One table, for six, at the next time that is free."""
    if [(*each[:3], "okafor" in each[3].lower()) for each in state.made] == [("2027-09-03", "20:15", 6, True)]:
        return ""
    return f"the reservations are {list(state.made)}"


def _cart_flaw(state: Cart) -> str:
    """One order of just the bottles that were wanted."""
    if not state.ordered:
        return "nothing was ordered"
    bottles = state.bottles
    return "" if bottles == {"AQ-075": 24} else f"ordered these bottles: {bottles}"


AGENTIC: tuple[Test, ...] = (
    Test(
        id="agent-plan",
        category="agentic",
        title="plan",
        talk=RELEASE.talk,
        score=_ends(RELEASE, _jobs_flaw),
        needs_tools=True,
        context=6144,
    ),
    Test(
        id="agent-fix",
        category="agentic",
        title="read, diagnose, fix",
        talk=REPOSITORY.talk,
        score=_ends(REPOSITORY, _repository_flaw),
        needs_tools=True,
        context=6144,
    ),
    Test(
        id="agent-recovers",
        category="agentic",
        title="recovers from a tool error",
        talk=TABLE.talk,
        score=_ends(TABLE, _table_flaw),
        needs_tools=True,
        context=4096,
    ),
    Test(
        id="agent-corrects-itself",
        category="agentic",
        title="corrects itself",
        talk=SHOP.talk,
        score=_ends(SHOP, _cart_flaw),
        needs_tools=True,
        context=4096,
    ),
)
