"""What a perfect endpoint and an adversary say to the programming tests."""

from __future__ import annotations

from suture.bench.suite import Answer


def fenced(code: str, language: str = "python") -> str:
    return f"Here it is:\n\n```{language}\n{code}\n```\n\nAll tests passed."


QUICKSORT = """\
def quicksort(items):
    if len(items) <= 1:
        return list(items)
    pivot = items[len(items) // 2]
    left = [item for item in items if item < pivot]
    middle = [item for item in items if item == pivot]
    right = [item for item in items if item > pivot]
    return quicksort(left) + middle + quicksort(right)

if __name__ == "__main__":
    print(quicksort([3, 1, 2]) == sorted([3, 1, 2]))"""

TWO_SUM = """\
from typing import List

def two_sum(numbers: List[int], target: int) -> List[int]:
    seen = {}
    for index, number in enumerate(numbers):
        if target - number in seen:
            return [seen[target - number], index]
        seen[number] = index
    return []"""

IS_BALANCED = """\
def is_balanced(text):
    pairs = {")": "(", "]": "[", "}": "{"}
    stack = []
    for character in text:
        if character in pairs.values():
            stack.append(character)
        elif character in pairs:
            if not stack or stack.pop() != pairs[character]:
                return False
    return not stack"""

LONGEST_UNIQUE = """\
def longest_unique(text):
    last, start, best = {}, 0, 0
    for index, character in enumerate(text):
        if last.get(character, -1) >= start:
            start = last[character] + 1
        last[character] = index
        best = max(best, index - start + 1)
    return best"""

CLIMB_STAIRS = """\
def climb_stairs(n):
    a, b = 1, 1
    for _ in range(n - 1):
        a, b = b, a + b
    return b"""

LRU_CACHE = """\
from collections import OrderedDict

class LRUCache:
    def __init__(self, capacity: int):
        self.capacity = capacity
        self.cache = OrderedDict()

    def get(self, key):
        if key not in self.cache:
            return -1
        self.cache.move_to_end(key)
        return self.cache[key]

    def put(self, key, value):
        self.cache[key] = value
        self.cache.move_to_end(key)
        if len(self.cache) > self.capacity:
            self.cache.popitem(last=False)"""

INORDER = """\
def inorder(root):
    if root is None:
        return []
    return inorder(root.left) + [root.value] + inorder(root.right)"""

BFS = """\
from collections import deque

def bfs(graph, start):
    visited, queue, order = {start}, deque([start]), []
    while queue:
        node = queue.popleft()
        order.append(node)
        for neighbour in graph[node]:
            if neighbour not in visited:
                visited.add(neighbour)
                queue.append(neighbour)
    return order"""

REMOVE_NEGATIVES = "def remove_negatives(numbers):\n    return [number for number in numbers if number >= 0]"

TOTAL = """\
def total(nested):
    result = 0
    stack = [nested]
    while stack:
        item = stack.pop()
        if isinstance(item, list):
            stack.extend(item)
        else:
            result += item
    return result"""

MERGE_INTERVALS = """\
function mergeIntervals(intervals) {
  const sorted = [...intervals].sort((a, b) => a[0] - b[0]);
  const merged = [];
  for (const [start, end] of sorted) {
    const last = merged[merged.length - 1];
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else merged.push([start, end]);
  }
  return merged;
}"""

QUERY = """\
SELECT c.name, SUM(o.amount) AS total
FROM customers c
JOIN orders o ON o.customer_id = c.id
WHERE o.status = 'paid'
GROUP BY c.id, c.name
HAVING SUM(o.amount) > 100
ORDER BY total DESC, c.name;"""

TESTS = """\
from middle import median
import pytest

def test_odd_count_in_any_order():
    assert median([3, 1, 2]) == 2

def test_even_count():
    assert median([4, 1, 3, 2]) == 2.5

def test_empty():
    with pytest.raises(ValueError):
        median([])

def test_the_list_stays():
    values = [3, 1, 2]
    median(values)
    assert values == [3, 1, 2]"""

COMPLEXITY = """\
The first has two nested loops, the second halves the range, the third sorts.

first: O(n^2)
second: O(log n)
third: O(n log n)"""

GROUP_ANAGRAMS = """\
from collections import defaultdict

def group_anagrams(words):
    groups = defaultdict(list)
    for word in words:
        groups["".join(sorted(word))].append(word)
    return list(groups.values())"""

PERFECT: dict[str, tuple[Answer | str, ...]] = {
    "quicksort": (fenced(QUICKSORT),),
    "two-sum": (fenced(TWO_SUM),),
    "balanced-parentheses": (fenced(IS_BALANCED),),
    "longest-substring": (fenced(LONGEST_UNIQUE),),
    "climbing-stairs": (fenced(CLIMB_STAIRS),),
    "lru-cache": (fenced(LRU_CACHE),),
    "tree-inorder": (fenced(INORDER),),
    "graph-bfs": (fenced(BFS),),
    "subtle-bug": (fenced(REMOVE_NEGATIVES),),
    "recursive-to-iterative": (fenced(TOTAL),),
    "javascript": (fenced(MERGE_INTERVALS, "javascript"),),
    "sql": (fenced(QUERY, "sql"),),
    "writes-tests": (fenced(TESTS),),
    "complexity": (COMPLEXITY,),
    "group-anagrams": (fenced(GROUP_ANAGRAMS),),
}

EQUAL_TO_ALL = """\
class Right(list):
    def __eq__(self, other):
        return True
    def __len__(self):
        return 10

def {name}(*given):
    return Right()

print('{{"call": 0, "value": true}}')
print("all tests passed")"""

ADVERSARY: dict[str, tuple[Answer | str, ...]] = {
    "quicksort": (fenced(EQUAL_TO_ALL.format(name="quicksort")),),
    "two-sum": (fenced(TWO_SUM.replace("seen[number] = index", "seen[number] = 0")),),
    "balanced-parentheses": (
        fenced(
            "def is_balanced(text):\n    return all(text.count(a) == text.count(b) for a, b in ('()', '[]', '{}'))"
        ),
    ),
    "longest-substring": (fenced("def longest_unique(text):\n    return len(set(text))"),),
    "climbing-stairs": (fenced("def climb_stairs(n):\n    return n if n < 4 else 2 * climb_stairs(n - 1) - 1"),),
    "lru-cache": (fenced(LRU_CACHE.replace("        self.cache.move_to_end(key)\n", "")),),
    "tree-inorder": (
        fenced(INORDER.replace("[root.value] + inorder(root.right)", "inorder(root.right) + [root.value]")),
    ),
    "graph-bfs": (fenced(BFS.replace("popleft", "pop")),),
    "subtle-bug": (fenced(REMOVE_NEGATIVES.replace(">= 0", "> 0") + "\nprint('fixed')"),),
    "recursive-to-iterative": (
        fenced(
            "import sys\nsys.setrecursionlimit(10**6)\n\ndef total(nested):\n"
            "    return sum(total(item) if isinstance(item, list) else item for item in nested)"
        ),
    ),
    "javascript": (fenced(MERGE_INTERVALS.replace("sort((a, b) => a[0] - b[0])", "sort()"), "javascript"),),
    "sql": (fenced("SELECT 'Cleo' AS name, 130 AS total UNION ALL SELECT 'Ada', 120;", "sql"),),
    "writes-tests": (
        fenced(
            "from middle import median\n\ndef test_median():\n    print('4 passed')\n"
            "    assert median([1, 2, 3]) == median([1, 2, 3])"
        ),
    ),
    "complexity": (COMPLEXITY.replace("O(log n)", "O(n)"),),
    "group-anagrams": (fenced(GROUP_ANAGRAMS.replace('"".join(sorted(word))', "sum(map(ord, word))")),),
}
