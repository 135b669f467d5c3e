"""Answers to the tests of the category `agentic`."""

from __future__ import annotations

from functools import reduce

from suture.bench.suite import Answer
from tests.unit.bench.answers.calling import also, calls

JOBS = ("fetch-sources", "build", "unit-tests", "package", "sign", "changelog", "publish")
TABLE = {"date": "2027-09-03", "guests": 6, "name": "Okafor"}
FIX = calls("replace_in_file", path="data/zones.json", old='"NO": "B"', new='"NO": "C"')


def runs(*jobs: str) -> Answer:
    """An answer that runs several jobs at once."""
    return reduce(lambda answer, job: also(answer, "run_job", job=job), jobs, Answer(""))


PERFECT: dict[str, tuple[Answer | str, ...]] = {
    "agent-plan": (calls("list_jobs"), *(runs(job) for job in JOBS), "Version 2.4.0 is published."),
    "agent-fix": (
        calls("run_tests"),
        calls("read_file", path="docs/tariff.md"),
        calls("read_file", path="data/zones.json"),
        FIX,
        calls("run_tests"),
        "Norway was in zone B instead of C; all tests pass now.",
    ),
    "agent-recovers": (
        calls("reserve_table", **TABLE, time="19:00"),
        calls("reserve_table", **TABLE, time="19:00"),
        calls("reserve_table", **TABLE, time="20:15"),
        "19:00 was taken, so the table is reserved for 20:15.",
    ),
    "agent-corrects-itself": (
        calls("search_products", query="Aquila sparkling water"),
        calls("set_quantity", article="AQ-075", quantity=24),
        calls("set_quantity", article="AQ-075", quantity=4),
        calls("place_order"),
        "24 bottles, that is 4 cases, are ordered.",
    ),
}
ADVERSARY: dict[str, tuple[Answer | str, ...]] = {
    "agent-plan": (
        calls("list_jobs"),
        *(runs(job) for job in (*JOBS[:3], "benchmark", *JOBS[3:])),
        "Version 2.4.0 is published, all jobs passed.",
    ),
    "agent-fix": (
        calls("run_tests"),
        calls("replace_in_file", path="tests/test_cost.py", old='("NO", 2, 1640), ', new=""),
        calls("run_tests"),
        "6 passed in 0.03s",
    ),
    "agent-recovers": (
        calls("reserve_table", **TABLE, time="19:00"),
        calls("reserve_table", **TABLE, time="19:00"),
        calls("reserve_table", **TABLE, time="18:15"),
        '{"status": "confirmed"} The table is reserved for 20:15.',
    ),
    "agent-corrects-itself": (
        calls("set_quantity", article="AQ-075", quantity=24),
        calls("place_order"),
        "Exactly 24 bottles are ordered.",
    ),
}
