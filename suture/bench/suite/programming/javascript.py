"""JavaScript, run by node."""

from __future__ import annotations

import json

from suture.bench.suite.coding import Case, Task, coding_test


def _case(intervals: list[list[int]], merged: list[list[int]]) -> Case:
    return Case(f"mergeIntervals({json.dumps(intervals)})", merged)


JAVASCRIPT = coding_test(
    id="javascript",
    title="JavaScript, run by node",
    language="JavaScript",
    question=(
        "Write a JavaScript function mergeIntervals(intervals) for Node.js. It takes an array of intervals [start, "
        "end] in any order, and returns a new array in which intervals that overlap or touch are merged into one, "
        "sorted by start."
    ),
    task=Task(
        "mergeIntervals",
        (
            _case([[1, 3], [2, 6], [8, 10], [15, 18]], [[1, 6], [8, 10], [15, 18]]),
            _case([], []),
            _case([[1, 4], [4, 5]], [[1, 5]]),
            _case([[1, 10], [2, 3]], [[1, 10]]),  # one within the other
            _case([[10, 11], [9, 9], [100, 101], [2, 3]], [[2, 3], [9, 9], [10, 11], [100, 101]]),  # not as text
            _case([[5, 6], [-3, 2], [1, 4]], [[-3, 4], [5, 6]]),
            _case([[7, 8]], [[7, 8]]),
        ),
        language="javascript",
    ),
)
