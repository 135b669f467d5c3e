"""Two runs side by side: what changed between them, and whether it is more than noise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from suture.bench.capability import test_facts
from suture.bench.samples import Samples
from suture.errors import InputError
from suture.report.build import load_report
from suture.report.comparison import Measured, detectable, difference
from suture.report.data import ArmData, Difference, Rivalry
from suture.report.facts import TestFacts
from suture.report.rivalries import comparable, compare_pairs
from suture.store import Store
from suture.store.runs import find_run


@dataclass(frozen=True)
class Side:
    """One of the two runs.

    Attributes:
        name: What the table calls it.
        arms: Its models, by name.
    """

    name: str
    arms: dict[str, ArmData]


@dataclass(frozen=True)
class Versus:
    """One model, in two runs.

    Attributes:
        first: The one's row.
        second: The other's.
        perplexity: How far the second's log-perplexity lies above the first's; None where one was not measured.
        tests: Both on the same tests; None where they did not answer the same ones.
    """

    first: ArmData
    second: ArmData
    perplexity: Difference | None
    tests: Rivalry | None

    @property
    def verdict(self) -> str:
        """What the numbers support."""
        found: list[str] = []
        if self.perplexity is not None and detectable(self.perplexity):
            found.append("higher perplexity" if self.perplexity.value > 0 else "lower perplexity")
        if self.tests is not None and self.tests.is_detectable:
            found.append("fewer tests" if self.tests.first == self.first.title else "more tests")
        return ", ".join(found) or "no detectable difference"


def side(store: Store, named: str) -> Side:
    """Return a run of the store, or the folder that `suture bench` filled.

    Args:
        store: Holds the runs.
        named: A run, as `find_run` takes it; or a folder.
    """
    folder = Path(named)
    if (folder / "samples.jsonl").is_file():
        return Side(folder.name, {folder.name: _arm(folder)})
    run = find_run(store, named).run
    return Side(run, {arm.name: arm for arm in load_report(store, run).data.arms})


def _arm(folder: Path) -> ArmData:
    tests = [TestFacts.model_validate(row) for row in test_facts(Samples.read(folder))]
    return ArmData.model_validate(
        {
            "name": folder.name,
            "title": folder.name,
            "role": "reference",
            "quant": "",
            "key": "",
            "missing": (),
            "passed": sum(test.passed for test in tests),
            "total": sum(test.asked for test in tests),
            "tests": tuple(test.model_dump() for test in tests),
        }
    )


def compare_runs(first: Side, second: Side) -> tuple[Versus, ...]:
    """Return each model that both runs have, compared; the only ones of each, if each has one.

    Raises:
        InputError: When they have none in common.
    """
    shared = [(arm, second.arms[name]) for name, arm in first.arms.items() if name in second.arms]
    if not shared and len(first.arms) == len(second.arms) == 1:
        shared = [(*first.arms.values(), *second.arms.values())]
    if not shared:
        raise InputError(
            "These two runs have no model in common.",
            expected=f"one of {', '.join(first.arms)} in both",
            found=", ".join(second.arms),
            way_out="Compare runs of one recipe, or folders of `suture bench`.",
        )
    pairs = [(_titled(one, first), _titled(other, second)) for one, other in shared]
    asked = [pair for pair in pairs if comparable(*pair)]
    rivalries = dict(zip([one.name for one, _ in asked], compare_pairs(asked), strict=True))
    return tuple(Versus(one, other, _perplexity(one, other), rivalries.get(one.name)) for one, other in pairs)


def _titled(arm: ArmData, of: Side) -> ArmData:
    return arm.model_copy(update={"title": f"{arm.name} of {of.name}"})


def _perplexity(first: ArmData, second: ArmData) -> Difference | None:
    if (
        first.perplexity is None
        or second.perplexity is None
        or first.perplexities.keys() != second.perplexities.keys()
    ):
        return None
    return difference(Measured(second, second.perplexity), Measured(first, first.perplexity))
