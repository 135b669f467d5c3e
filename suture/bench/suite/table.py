"""The table of all tests, and how a recipe names some of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from suture.bench.suite.agentic import AGENTIC
from suture.bench.suite.basic import BASIC
from suture.bench.suite.context import CONTEXT
from suture.bench.suite.form import Test
from suture.bench.suite.human_eval import human_eval
from suture.bench.suite.long_output import LONG_OUTPUT
from suture.bench.suite.multi_turn import CONVERSATIONS
from suture.bench.suite.multilingual import MULTILINGUAL
from suture.bench.suite.performance import PERFORMANCE
from suture.bench.suite.programming import PROGRAMMING
from suture.bench.suite.reasoning import REASONING
from suture.bench.suite.structured import STRUCTURED
from suture.bench.suite.tools import TOOLS
from suture.errors import RecipeError

SUITE: tuple[Test, ...] = (
    *BASIC,
    *REASONING,
    *TOOLS,
    *AGENTIC,
    *STRUCTURED,
    *CONTEXT,
    *MULTILINGUAL,
    *PROGRAMMING,
    *PERFORMANCE,
)
"""Every test of the capability suite, in the order in which they are run and reported."""

MULTI_TURN: tuple[Test, ...] = (*CONVERSATIONS, *LONG_OUTPUT)
"""Long conversations and long answers."""


def _frontend() -> tuple[Test, ...]:
    from suture.bench.frontend.tests import FRONTEND

    return FRONTEND


SUITES: Mapping[str, Callable[[], tuple[Test, ...]]] = {
    "capability": lambda: SUITE,
    "multi_turn": lambda: MULTI_TURN,
    "frontend": _frontend,
    "human_eval": human_eval,
}
"""Each suite by name; the last two load parsers and data, so only where they are asked for."""

SHORTHANDS: Mapping[str, tuple[str, ...]] = {
    "smoke": ("basic",),
}
"""Names for a few tests of a suite."""


def select(patterns: Sequence[str]) -> tuple[Test, ...]:
    """Return the tests with these ids, of these categories or suites, each once, in the order of the suites.

    Raises:
        RecipeError: When a name is none of these; names what there is.
    """
    wanted = {name for pattern in patterns for name in SHORTHANDS.get(pattern, (pattern,))}
    found: list[Test] = []
    for suite, tests in SUITES.items():
        # what is left must be in this suite or in a later one: a suite that need not be loaded is not
        if wanted:
            here = [test for test in tests() if not wanted.isdisjoint((suite, test.category, test.id))]
            found += here
            wanted -= {suite, *(test.category for test in here), *(test.id for test in here)}
    if wanted:
        _refuse(sorted(wanted), patterns)
    return tuple(found)


def _refuse(unknown: Sequence[str], patterns: Sequence[str]) -> NoReturn:
    categories = dict.fromkeys(test.category for test in SUITE)
    raise RecipeError(
        f"There is no test, category or suite of this name: {', '.join(unknown)}.",
        where="benchmark.capability.tests",
        expected=f"suites ({', '.join((*SUITES, *SHORTHANDS))}), categories ({', '.join(categories)}) or tests",
        found=", ".join(patterns),
        way_out="`suture bench --list` names every test.",
    )
