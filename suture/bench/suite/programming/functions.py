"""Functions of a few lines: each is called with several inputs, the awkward ones among them."""

from __future__ import annotations

import ast

from suture.bench.suite.coding import Case, Task, cases, coding_test
from suture.bench.suite.harness import sequence
from suture.bench.suite.programming.call_graph import reachable

# -- quicksort ------------------------------------------------------------------------------------------------


def _library_sort(tree: ast.Module) -> str:
    """Object to a sort that is not written out."""
    for function in reachable(tree, "quicksort").values():
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "sorted":
                return "calls sorted()"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sort":
                return "calls list.sort()"
    return ""


QUICKSORT = coding_test(
    id="quicksort",
    title="quicksort",
    question=(
        "Write a Python function quicksort(items) that takes a list of numbers and returns a new list with the same "
        "numbers in ascending order, by the quicksort algorithm. Do not use sorted() or list.sort(). The list passed "
        "in must stay as it is."
    ),
    task=Task(
        "quicksort",
        (
            *cases(
                "quicksort",
                ([[3, 6, 1, 8, 2, 9, 4]], [1, 2, 3, 4, 6, 8, 9]),
                ([[]], []),
                ([[7]], [7]),
                ([[5, 3, 5, 1, 5, 3]], [1, 3, 3, 5, 5, 5]),
                ([[-2, 0, -7, 10, 3]], [-7, -2, 0, 3, 10]),
                ([[2.5, -1, 2.25]], [-1, 2.25, 2.5]),
                ([[2, 1]], [1, 2]),
            ),
            Case("quicksort(list(range(100, 0, -1)))", list(range(1, 101))),
            Case("quicksort([4] * 100)", [4] * 100),
            Case("(lambda items: [quicksort(items), items][1])([3, 1, 2])", [3, 1, 2]),
        ),
        objection=_library_sort,
    ),
)

# -- two-sum --------------------------------------------------------------------------------------------------


def _same_places(value: object, expected: object) -> bool:
    """Return whether these are the two places, in either order."""
    places = sequence(value)
    if places is None or any(type(place) is not int for place in places):
        return False
    return sorted(places, key=str) == sorted(sequence(expected) or (), key=str)


TWO_SUM = coding_test(
    id="two-sum",
    title="two-sum",
    question=(
        "Write a Python function two_sum(numbers, target) that returns a list with the indices of the two different "
        "elements of the list numbers whose sum is target. Exactly one such pair exists."
    ),
    task=Task(
        "two_sum",
        cases(
            "two_sum",
            ([[2, 7, 11, 15], 9], [0, 1]),
            ([[3, 2, 4], 6], [1, 2]),  # not 3 twice
            ([[3, 3], 6], [0, 1]),
            ([[-4, 8, 1, 5, -9], -3], [0, 2]),
            ([[0, 4, 3, 0], 0], [0, 3]),
            ([[1, 2, 3, 4, 5, 60, 70], 130], [5, 6]),
            ([[5, 75, 25], 100], [1, 2]),
        ),
        same=_same_places,
    ),
)

# -- balanced parentheses -------------------------------------------------------------------------------------

BALANCED_PARENTHESES = coding_test(
    id="balanced-parentheses",
    title="balanced parentheses",
    question=(
        "Write a Python function is_balanced(text) that returns True if every bracket of the kinds (), [] and {} in "
        "text is closed by its own kind and in the right order, and False otherwise. Other characters do not count."
    ),
    task=Task(
        "is_balanced",
        cases(
            "is_balanced",
            (["()"], True),
            ([""], True),
            (["([]{})"], True),
            (["(]"], False),
            (["([)]"], False),  # as many of each, in the wrong order
            (["(("], False),
            (["))"], False),
            (["())("], False),
            (["f(a[0], {b: 1})"], True),
            (["if (x { y }"], False),
            (["no brackets"], True),
        ),
    ),
)

# -- longest substring without repeats ------------------------------------------------------------------------

LONGEST_SUBSTRING = coding_test(
    id="longest-substring",
    title="longest substring without repeats",
    question=(
        "Write a Python function longest_unique(text) that returns the length of the longest substring of text in "
        "which no character occurs twice."
    ),
    task=Task(
        "longest_unique",
        cases(
            "longest_unique",
            (["abcabcbb"], 3),
            ([""], 0),
            (["bbbbb"], 1),
            (["pwwkew"], 3),  # a substring, not a subsequence
            (["abba"], 2),  # the window must not move back
            (["dvdf"], 3),  # the window begins in the middle
            (["a b c a"], 3),
            (["tmmzuxt"], 5),
        ),
    ),
)

# -- climbing stairs ------------------------------------------------------------------------------------------

CLIMBING_STAIRS = coding_test(
    id="climbing-stairs",
    title="climbing stairs (dynamic programming)",
    question=(
        "A staircase has n steps, and you climb 1 or 2 steps at a time. Write a Python function climb_stairs(n) that "
        "returns in how many different ways you can reach the top, for n >= 1. It must be fast for n = 90, too."
    ),
    task=Task(
        "climb_stairs",
        cases(
            "climb_stairs",
            ([1], 1),
            ([2], 2),
            ([3], 3),
            ([4], 5),
            ([5], 8),
            ([10], 89),
            ([45], 1836311903),
            ([90], 4660046610375530309),  # beyond floats, and beyond recursion without a memory
        ),
    ),
)

# -- group anagrams -------------------------------------------------------------------------------------------


def _same_groups(value: object, expected: object) -> bool:
    """Return whether these are the groups, whatever the order of groups and of words within them."""
    return _canonical(value) == _canonical(expected) is not None


def _canonical(value: object) -> list[list[str]] | None:
    groups = [sequence(group) for group in sequence(value) or ()]
    if sequence(value) is None or not all(group and all(isinstance(word, str) for word in group) for group in groups):
        return None
    return sorted(sorted(map(str, group or ())) for group in groups)


GROUP_ANAGRAMS = coding_test(
    id="group-anagrams",
    title="group anagrams",
    question=(
        "Write a Python function group_anagrams(words) that puts words of a list which are anagrams of each other in "
        "groups, and returns a list of these groups, each a list of words. A word without an anagram is a group "
        "of its own. The order of the groups, and of the words in them, does not matter."
    ),
    task=Task(
        "group_anagrams",
        cases(
            "group_anagrams",
            ([["eat", "tea", "tan", "ate", "nat", "bat"]], [["eat", "tea", "ate"], ["tan", "nat"], ["bat"]]),
            ([[]], []),
            ([["solo"]], [["solo"]]),
            ([["ab", "ba", "ab"]], [["ab", "ba", "ab"]]),  # a word that occurs twice
            ([["aab", "abb", "bab", "baa"]], [["aab", "baa"], ["abb", "bab"]]),  # the same letters, in other numbers
            ([["ad", "bc"]], [["ad"], ["bc"]]),  # sums of letters are equal
            ([["", "a", ""]], [["", ""], ["a"]]),
        ),
        same=_same_groups,
    ),
)
