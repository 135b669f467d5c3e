"""What comparing the rows of the scoreboard gave."""

from __future__ import annotations

from typing import Literal

from suture.report.data.row import Difference, Estimate, Interval, Row
from suture.report.inputs import Role
from suture.statistics import CONFIDENCE


class Rivalry(Row):
    """Two models on the same tests."""

    first: str
    """Of the one that passed more, what a sentence calls it."""
    second: str
    first_passed: int
    second_passed: int
    tests: int
    answers: int
    """Tests, times how often each was asked."""
    difference: float
    """Of the shares passed; never negative."""
    interval: Interval
    """Of the difference, over other tests of the kind."""
    effect: float
    """Cohen's h."""
    won: int
    """Tests that the first passed more often."""
    lost: int
    p: float
    """McNemar's exact, two-sided."""
    adjusted: float
    """The same, for having compared several pairs (Holm)."""

    @property
    def is_detectable(self) -> bool:
        """Whether chance alone makes so much a difference in fewer than one of twenty such reports."""
        return self.adjusted < 1 - CONFIDENCE


class Recovery(Row):
    """How much of the damage healing mended, for one quantization type.

    Shares of the raw merge's excess in log-perplexity: 0 is the raw merge, 1 is as good as the yardstick.
    """

    quant: str
    of_source: Estimate | None
    """Yardstick: the best source, as it was merged. None when the raw merge is not detectably worse than it."""
    of_control: Estimate | None
    """Yardstick: the control, which was trained alike."""


class Standing(Row):
    """Where a model stands on one held-out text against the parents of a merge."""

    model: str
    """The merge; or, beside the merges, a source that no merge uses, against the parents of the final merge."""
    role: Role
    method: str
    """The merge's; empty for a source."""
    text: str
    perplexity: Estimate
    parent: str
    """The parent of the lowest perplexity on this text."""
    difference: Difference
    """To that parent."""
    verdict: Literal["better", "even", "between", "worse"]
    """`better`: than each parent. `even`: no difference to the better parent can be told. `between`: worse than the
    better parent, and not worse than each. `worse`: than each parent."""
    p: float
    """Of the claim that the model is better than each parent on this text: the largest of the p-values against each
    where it is better, else 1."""
