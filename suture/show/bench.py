"""`suture bench`: the tests there are, and what a model made of them."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue
from rich import box
from rich.table import Table

from suture.bench.frontend import TASKS
from suture.bench.suite.table import SUITES
from suture.report.facts import BenchmarkFacts, TestFacts
from suture.statistics import rate_interval


def catalogue() -> dict[str, JsonValue]:
    """Return every test of every suite, as data."""
    suites: dict[str, JsonValue] = {
        name: [{"id": test.id, "category": test.category, "title": test.title} for test in tests()]
        for name, tests in SUITES.items()
        if name != "frontend"
    }
    suites["frontend"] = [
        {
            "task": task.id,
            "title": task.title,
            "checks": [{"id": check.id, "kind": check.kind, "title": check.title} for check in task.checks],
        }
        for task in TASKS
    ]
    return suites


def catalogue_tables() -> list[Table]:
    """Return a table of each suite; of the 164 problems of human_eval, one line."""
    tables: list[Table] = []
    for name, tests in SUITES.items():
        found = tests()
        table = _table(f"{name}: {len(found)} tests", "test", "category", "what it is about")
        if name == "frontend":
            table.title = f"{name}: {len(found)} pages, {sum(len(task.checks) for task in TASKS)} checks"
        for test in found if len(found) < 100 else found[:1]:
            table.add_row(test.id, test.category, test.title)
        if len(found) >= 100:
            table.add_row(f"... to {found[-1].id}", found[-1].category, "")
        tables.append(table)
    return tables


def result_tables(facts: dict[str, JsonValue]) -> list[Table]:
    """Return what was passed by category, what was not and why, and the speed."""
    read = BenchmarkFacts.model_validate(facts)
    failed = [test for test in read.tests if test.passed < test.asked]
    tables = [_by_category(read.tests)]
    if failed:
        tables.append(_failed(failed))
    speed, wait = read.tokens_per_second, read.time_to_first_token
    if speed is not None and wait is not None:
        table = _table("", "speed", "value")
        table.add_row("tokens/s", f"{speed.value:.1f} ± {speed.error:.1f}")
        table.add_row("time to first token", f"{1000 * wait.value:.0f} ms")
        tables.append(table)
    return tables


def _by_category(tests: Sequence[TestFacts]) -> Table:
    table = _table("", "category", "passed", "share", "95 % interval")
    categories = dict.fromkeys(test.category for test in tests)
    groups = {name: [test for test in tests if test.category == name] for name in categories}
    for name, group in ({**groups, "all": list(tests)} if len(groups) > 1 else groups).items():
        table.add_row(name, *_rate(group), style="bold" if name == "all" else None)
    pages = [test for test in tests if test.checks]
    if pages:
        held, made = (
            sum(test.checks_passed for test in pages),
            sum(test.checks - test.checks_skipped for test in pages),
        )
        skipped = sum(test.checks_skipped for test in pages)
        note = f"{skipped} skipped: no browser" if skipped else ""
        table.add_row("checks of pages", f"{held} of {made}", f"{100 * held / max(1, made):.0f} %", note)
    return table


def _rate(tests: Sequence[TestFacts]) -> tuple[str, str, str]:
    passed, asked = sum(test.passed for test in tests), sum(test.asked for test in tests)
    low, high = rate_interval([test.passed for test in tests], asked // len(tests))
    return f"{passed} of {asked}", f"{100 * passed / asked:.0f} %", f"{100 * low:.0f} to {100 * high:.0f} %"


def _failed(tests: Sequence[TestFacts]) -> Table:
    table = _table("not passed", "test", "passed", "why, for the most part")
    for test in tests:
        table.add_row(test.id, f"{test.passed} of {test.asked}", test.error_class)
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if column in ("passed", "share") else "left", no_wrap=number == 0)
    return table
