"""The table of all tests, and how a recipe names some of them."""

from __future__ import annotations

from collections.abc import Sequence

from suture.bench.suite.basic import BASIC
from suture.bench.suite.form import Test
from suture.bench.suite.reasoning import REASONING
from suture.errors import RecipeError

SUITE: tuple[Test, ...] = (*BASIC, *REASONING)
"""Every test, in the order in which they are run and reported."""


def select(patterns: Sequence[str]) -> tuple[Test, ...]:
    """Return the tests with these ids or of these categories, each once, in the suite's order.

    Raises:
        RecipeError: When a name is neither; names what there is.
    """
    categories = tuple(dict.fromkeys(test.category for test in SUITE))
    ids = tuple(test.id for test in SUITE)
    unknown = [pattern for pattern in patterns if pattern not in (*categories, *ids)]
    if unknown:
        raise RecipeError(
            f"There is no test or category of this name: {', '.join(unknown)}.",
            where="benchmark.capability.tests",
            expected=f"categories ({', '.join(categories)}) or tests ({', '.join(ids)})",
            found=", ".join(patterns),
        )
    return tuple(test for test in SUITE if test.category in patterns or test.id in patterns)
