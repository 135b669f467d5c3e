from __future__ import annotations

import ast
import time

import pytest

from suture.bench.suite import SUITE
from suture.bench.suite.programming.functions import _library_sort
from suture.bench.suite.programming.rewriting import _BUGGY, _RECURSIVE, _recursion
from suture.bench.suite.programming.structures import _NODE
from tests.unit.bench.answers import programming
from tests.unit.bench.answers.programming import fenced
from tests.unit.bench.transcripts import found, score, score_answers

IDS = [test.id for test in SUITE if test.category == "programming"]
EACH = pytest.mark.parametrize("test", IDS)


@EACH
def test_a_right_answer_passes(test: str) -> None:
    verdict = score_answers(found(test), programming.PERFECT[test])
    assert verdict.passed, verdict


@EACH
def test_an_answer_that_only_looks_right_fails_for_its_content(test: str) -> None:
    assert score_answers(found(test), programming.ADVERSARY[test]).error_class == "wrong_answer"


@EACH
def test_the_question_is_no_answer(test: str) -> None:
    question = next(found(test).talk()).messages[-1].content
    for text in (question, fenced(question)):
        assert not score(test, text).passed


@pytest.mark.parametrize(
    ("test", "code"),
    [
        # another algorithm, another type, another style: all right
        (
            "quicksort",
            """\
def quicksort(items):
    items = items[:]
    def sort(low, high):
        if low < high:
            pivot, place = items[(low + high) // 2], low
            items[(low + high) // 2], items[high] = items[high], items[(low + high) // 2]
            for i in range(low, high):
                if items[i] < pivot:
                    items[i], items[place] = items[place], items[i]
                    place += 1
            items[place], items[high] = items[high], items[place]
            sort(low, place - 1)
            sort(place + 1, high)
    sort(0, len(items) - 1)
    return items

assert quicksort([2, 1]) == sorted([2, 1])""",
        ),
        (
            "two-sum",
            """\
def two_sum(numbers, target):
    for i in range(len(numbers)):
        for j in range(i):
            if numbers[i] + numbers[j] == target:
                return i, j""",
        ),
        (
            "balanced-parentheses",
            """\
import re

def is_balanced(text):
    text = re.sub(r"[^()\\[\\]{}]", "", text)
    while "()" in text or "[]" in text or "{}" in text:
        text = text.replace("()", "").replace("[]", "").replace("{}", "")
    return text == "\"""",
        ),
        (
            "longest-substring",
            """\
def longest_unique(text):
    parts = (text[i:j] for i in range(len(text)) for j in range(i, len(text) + 1))
    return max((len(part) for part in parts if len(set(part)) == len(part)), default=0)""",
        ),
        (
            "climbing-stairs",
            """\
from functools import lru_cache

@lru_cache(maxsize=None)
def climb_stairs(n):
    return n if n <= 2 else climb_stairs(n - 1) + climb_stairs(n - 2)""",
        ),
        (
            "lru-cache",
            """\
class LRUCache(dict):
    def __init__(self, capacity):
        self.room = capacity
    def get(self, key):
        if key not in self:
            return -1
        self[key] = value = self.pop(key)
        return value
    def put(self, key, value):
        self.pop(key, None)
        self[key] = value
        while len(self) > self.room:
            del self[next(iter(self))]""",
        ),
        (
            "tree-inorder",
            f"""\
from dataclasses import dataclass
{_NODE.replace("value", "val")}

def inorder(root):
    values, stack = [], []
    while root or stack:
        while root:
            stack.append(root)
            root = root.left
        root = stack.pop()
        values.append(root.value)
        root = root.right
    return values""",
        ),
        (
            "graph-bfs",
            """\
def bfs(graph, start):
    order = [start]
    for node in order:
        order += [near for near in dict.fromkeys(graph[node]) if near not in order]
    return order""",
        ),
        (
            "subtle-bug",
            _BUGGY.replace("in result:", "in numbers:").replace("result = numbers", "result = numbers.copy()"),
        ),
        (
            "recursive-to-iterative",
            """\
def total(nested):
    result, queue = 0, list(nested)
    while queue:
        first = queue.pop(0)
        if isinstance(first, list):
            queue = first + queue
        else:
            result += first
    return result

def old_total(nested):  # the old one, to compare
    return sum(old_total(item) if isinstance(item, list) else item for item in nested)

print(total([1, [2]]) == old_total([1, [2]]))""",
        ),
        (
            "group-anagrams",
            """\
def group_anagrams(words):
    groups = {}
    for word in words:
        groups.setdefault(tuple(sorted(word)), []).append(word)
    return groups.values()""",
        ),
    ],
)
def test_other_right_answers_pass(test: str, code: str) -> None:
    verdict = score(test, fenced(code))
    assert verdict.passed, verdict


@pytest.mark.parametrize(
    ("test", "code", "error_class"),
    [
        ("quicksort", "def quicksort(items):\n    return sorted(items)", "wrong_answer"),
        ("quicksort", "def quicksort(items):\n    items.sort()\n    return items", "wrong_answer"),
        ("quicksort", programming.QUICKSORT.replace("middle + ", "[pivot] + "), "wrong_answer"),  # loses equal ones
        ("two-sum", "def two_sum(numbers, target):\n    return [0, 1, 2]", "wrong_answer"),
        (
            "two-sum",
            programming.TWO_SUM.replace("[seen[target - number], index]", "[number, target]"),
            "wrong_answer",
        ),
        ("two-sum", programming.TWO_SUM.replace("from typing import List\n", ""), "crash"),
        ("balanced-parentheses", programming.IS_BALANCED.replace("not stack\n", "True\n"), ""),
        ("balanced-parentheses", programming.IS_BALANCED.replace("return not stack", "return True"), "wrong_answer"),
        ("balanced-parentheses", programming.IS_BALANCED.replace("return not stack", "return stack"), "wrong_answer"),
        ("longest-substring", programming.LONGEST_UNIQUE.replace(">= start", ">= 0"), "wrong_answer"),  # moves back
        ("longest-substring", programming.LONGEST_UNIQUE.replace("return best", "return text"), "wrong_answer"),
        ("climbing-stairs", programming.CLIMB_STAIRS.replace("n - 1", "n"), "wrong_answer"),
        ("lru-cache", programming.LRU_CACHE.replace("def get", "def fetch"), "name"),
        (
            "lru-cache",
            programming.LRU_CACHE.replace("def __init__(self, capacity: int)", "def __init__(self)"),
            "signature",
        ),
        ("lru-cache", programming.LRU_CACHE.replace("last=False", "last=True"), "wrong_answer"),
        ("lru-cache", programming.LRU_CACHE.replace("from collections import OrderedDict\n", ""), "crash"),
        ("tree-inorder", programming.INORDER.replace(".value", ".val"), "crash"),
        ("graph-bfs", programming.BFS.replace("graph[node]", "sorted(graph[node])"), "wrong_answer"),
        ("subtle-bug", _BUGGY, "wrong_answer"),
        ("subtle-bug", _BUGGY.replace("in result:", "in result[:]:"), "wrong_answer"),  # half of it
        ("subtle-bug", _BUGGY.replace("= numbers", "= list(numbers)"), "wrong_answer"),  # the other half
        ("recursive-to-iterative", _RECURSIVE, "crash"),
        ("recursive-to-iterative", "import sys\nsys.setrecursionlimit(9000)\n" + _RECURSIVE, "wrong_answer"),
        ("group-anagrams", "def group_anagrams(words):\n    return [list(words)]", "wrong_answer"),
        ("group-anagrams", "def group_anagrams(words):\n    return {1: words}", "wrong_answer"),
    ],
)
def test_wrong_code_fails(test: str, code: str, error_class: str) -> None:
    assert score(test, fenced(code)).error_class == error_class


# -- what the code may not do ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "recursive"),
    [
        (_RECURSIVE, True),
        ("def total(n):\n    return helper(n)\ndef helper(n):\n    return total(n)", True),
        ("def total(n):\n    def walk(n):\n        return walk(n)\n    return walk(n)", True),
        ("total = lambda n: sum(map(total, n))", True),
        ("class Sum:\n    def go(self, n):\n        return self.go(n)\ndef total(n):\n    return Sum().go(n)", False),
        ("def total(n):\n    return sum(n)\ndef demo(n):\n    return demo(n)", False),
        (f"{_RECURSIVE}\n\n{programming.TOTAL}", False),
        (programming.TOTAL, False),
    ],
)
def test_recursion_is_found(code: str, recursive: bool) -> None:
    assert bool(_recursion(ast.parse(code))) == recursive


@pytest.mark.parametrize(
    ("code", "objection"),
    [
        ("def quicksort(items):\n    return sorted(items)", "calls sorted()"),
        (
            "def quicksort(items):\n    return helper(items)\ndef helper(items):\n    items.sort()",
            "calls list.sort()",
        ),
        (programming.QUICKSORT, ""),  # whose demo calls sorted()
    ],
)
def test_a_sort_of_the_library_is_found(code: str, objection: str) -> None:
    assert _library_sort(ast.parse(code)) == objection


# -- JavaScript -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "error_class"),
    [
        (
            """\
const mergeIntervals = (intervals) =>
  intervals.map((each) => each.slice()).sort(([a], [b]) => a - b).reduce((merged, [start, end]) => {
    const last = merged.at(-1);
    if (last && last[1] >= start) { last[1] = Math.max(last[1], end); return merged; }
    return [...merged, [start, end]];
  }, []);
console.log(mergeIntervals([[1, 3], [2, 6]]));
module.exports = mergeIntervals;""",
            "",
        ),
        (programming.MERGE_INTERVALS.replace("start <= last", "start < last"), "wrong_answer"),
        (programming.MERGE_INTERVALS.replace("Math.max(last[1], end)", "end"), "wrong_answer"),
        (programming.MERGE_INTERVALS.replace("mergeIntervals", "merge"), "name"),
        (programming.MERGE_INTERVALS.replace("merged;", "JSON.stringify(merged);"), "wrong_answer"),
    ],
)
def test_javascript(code: str, error_class: str) -> None:
    assert score("javascript", fenced(code, "javascript")).error_class == error_class


# -- SQL ------------------------------------------------------------------------------------------------------

QUERY = programming.QUERY
DISTINCT_NAMES = QUERY.replace("GROUP BY c.id, c.name", "GROUP BY c.name")


@pytest.mark.parametrize(
    ("text", "error_class"),
    [
        (fenced(QUERY, ""), ""),
        (fenced(QUERY.rstrip(";"), "sqlite"), ""),
        (fenced(f"-- the query;\n{QUERY} -- it ends", "sql"), ""),
        (fenced("CREATE TABLE customers (id);\nINSERT INTO customers VALUES (1);", "sql") + fenced(QUERY, "sql"), ""),
        (fenced(DISTINCT_NAMES, "sql") + "Better:" + fenced(QUERY, "sql"), ""),
        (
            fenced(
                "WITH sums AS (SELECT customer_id, SUM(amount) AS total FROM orders\n"
                "WHERE status = 'paid' GROUP BY 1)\n"
                "SELECT name, total FROM sums JOIN customers ON customers.id = customer_id\n"
                "WHERE total > 100 ORDER BY total DESC, name",
                "sql",
            ),
            "",
        ),
        (QUERY, "no_fence"),
        (fenced("There is no query.", "sql"), "syntax"),
        (fenced(QUERY.replace("FROM", "FORM"), "sql"), "syntax"),
        (fenced(QUERY.replace("amount", "price"), "sql"), "crash"),
        (fenced(DISTINCT_NAMES, "sql"), "wrong_answer"),
        (fenced(QUERY.replace("> 100", ">= 100"), "sql"), "wrong_answer"),
        (fenced(QUERY.replace("WHERE o.status = 'paid'\n", ""), "sql"), "wrong_answer"),
        (fenced(QUERY.replace(" DESC", ""), "sql"), "wrong_answer"),
        (fenced(QUERY.replace(", c.name;", ";"), "sql"), "wrong_answer"),
        (fenced(QUERY.replace("SELECT ", "SELECT c.id, "), "sql"), "wrong_answer"),
        (fenced("WITH n(x) AS (SELECT 1) DELETE FROM orders WHERE id = (SELECT x FROM n);", "sql"), "wrong_answer"),
        (fenced("SELECT char(10), char(8232);", "sql"), "wrong_answer"),
        (fenced("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT 'a;b') SELECT x FROM n;", "sql"), "wrong_answer"),
    ],
)
def test_sql(text: str, error_class: str) -> None:
    assert score("sql", text).error_class == error_class


def test_sql_that_is_cut_off() -> None:
    assert score("sql", f"```sql\n{QUERY[:60]}", finish="length").error_class == "length"


# -- tests for code -------------------------------------------------------------------------------------------

IMPORT = "from middle import median\n"


@pytest.mark.parametrize(
    ("text", "error_class", "why"),
    [
        (
            fenced(
                "import pytest\nimport middle\n\n@pytest.mark.parametrize('values, expected', "
                "[([1], 1), ([9, 1, 5], 5), ([1, 2], 1.5), ([4, 8, 6, 2], 5)])\nclass TestMedian:\n"
                "    def test_values(self, values, expected):\n        before = list(values)\n"
                "        assert middle.median(values) == expected\n        assert values == before\n\n"
                "def test_empty():\n    pytest.raises(ValueError, middle.median, [])"
            ),
            "",
            "",
        ),
        (fenced(IMPORT) + fenced(programming.TESTS.replace(IMPORT, "")), "", ""),  # in two blocks
        (programming.TESTS, "no_fence", ""),
        (fenced("def test_median()\n    pass"), "syntax", ""),
        (fenced(programming.TESTS.replace("import pytest\n", "")), "wrong_answer", "NameError"),
        (fenced(programming.TESTS.replace("from middle", "from medians")), "crash", "ModuleNotFoundError"),
        (fenced(programming.TESTS.replace("== 2.5", "== 3")), "wrong_answer", "fails on a right median()"),
        (
            fenced(programming.TESTS.replace("[3, 1, 2]", "[1, 2, 3]").replace("[4, 1, 3, 2]", "[1, 2, 3, 4]")),
            "wrong_answer",
            "without sorting",
        ),
        (fenced(programming.TESTS.replace("median([4, 1, 3, 2]) == 2.5", "median([4])")), "wrong_answer", "upper"),
        (fenced(programming.TESTS.replace("pytest.raises(ValueError)", "pytest.warns()")), "wrong_answer", ""),
        (fenced(programming.TESTS.split("def test_empty")[0]), "wrong_answer", "returns 0 for an empty list"),
        # tests of a copy of their own
        (
            fenced(programming.TESTS.replace(IMPORT, "from statistics import median, StatisticsError\n")),
            "wrong_answer",
            "",
        ),
        (fenced(f"{IMPORT}assert median([1, 2, 3]) == 2"), "wrong_answer", "has no test"),
        (fenced(f"{IMPORT}import os\ndef test():\n    os._exit(0)"), "crash", ""),
        (
            fenced(f"{IMPORT}import pytest\n@pytest.mark.skip\ndef test():\n    assert 0"),
            "wrong_answer",
            "has no test",
        ),
    ],
)
def test_tests_are_judged_by_what_they_catch(text: str, error_class: str, why: str) -> None:
    verdict = score("writes-tests", text)
    assert verdict.error_class == error_class, verdict
    assert why in verdict.why


def test_tests_that_are_cut_off() -> None:
    assert score("writes-tests", f"```python\n{programming.TESTS[:90]}", finish="length").error_class == "length"


# -- complexity -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "error_class"),
    [
        (programming.COMPLEXITY, ""),
        ("**first:** O(n\u00b2)\n**second:** O(log\u2082 n)\n**third:** O(n * log(n))", ""),
        ("1. `first`: $O(n^{2})$\n2. `second`: $\\mathcal{O}(\\log n)$\n3. `third`: $O(n \\log n)$", ""),
        ("first: \\(\\Theta(n^2)\\)\nsecond: \\(O(\\log_2 n)\\)\nthird: \\(O(n \\cdot \\log n)\\)", ""),
        ("first: O(n**2)\nsecond: O(lg n)\nthird: O(n\u00b7log n)", ""),
        ("first: \u0398(n*n)\nsecond: o(LOG N)\nthird: O(n log2(n))", ""),
        ("| first | O(n^2) |\n| second | O(log n) |\n| third | O(N LOG N) |", ""),
        ("first: is it O(n)?\nNo.\nfirst: O(n^2)\nsecond: O(log(n))\nthird: O(nlogn)", ""),
        ("first: O(n^2)\nsecond: O(log n)\nthird: O(n)", "wrong_answer"),
        ("first: O(n)\nsecond: O(log n)\nthird: O(n log n)", "wrong_answer"),
        ("first: O(n^3)\nsecond: O(log n)\nthird: O(n log n)", "wrong_answer"),
        ("first: O(2^n)\nsecond: O(log n)\nthird: O(n log n)", "wrong_answer"),
        ("first: O(n^2)\nsecond: O(n log n)\nthird: O(log n)", "wrong_answer"),
        ("first: O(n^2)\nsecond: O(log n)", "wrong_answer"),
        ("O(n^2), O(log n), O(n log n)", "wrong_answer"),
        ("The functions are quadratic, logarithmic and linearithmic.", "wrong_answer"),
    ],
)
def test_complexity(text: str, error_class: str) -> None:
    assert score("complexity", text).error_class == error_class


def test_complexity_that_is_cut_off() -> None:
    assert score("complexity", "first: O(n^2)\nsecond: O(", finish="length").error_class == "length"
    assert score("complexity", "first: O(n)\nsecond: O(", finish="length").error_class == "wrong_answer"


def test_comments_without_end_are_read_in_little_time() -> None:
    start = time.monotonic()
    assert score("sql", fenced("/* */ -- x\n" * 2_000 + "; '" + ";" * 2_000, "sql")).error_class == "syntax"
    assert time.monotonic() - start < 2
