"""Code that is given: with a bug to be mended, or with a recursion to be taken out."""

from __future__ import annotations

import ast

from suture.bench.suite.coding import Case, Task, cases, coding_test
from suture.bench.suite.programming.call_graph import reachable, uses

# -- subtle bug -----------------------------------------------------------------------------------------------

_BUGGY = '''\
def remove_negatives(numbers):
    """Return a new list of the numbers that are not negative, in their order; numbers itself stays as it is."""
    result = numbers
    for number in result:
        if number < 0:
            result.remove(number)
    return result'''

SUBTLE_BUG = coding_test(
    id="subtle-bug",
    title="subtle bug",
    question=f"This Python function does not do what its docstring says:\n\n{_BUGGY}\n\nCorrect the function.",
    task=Task(
        "remove_negatives",
        (
            *cases(
                "remove_negatives",
                ([[1, -2, 3]], [1, 3]),
                ([[]], []),
                ([[-1, -2, -3, 4]], [4]),  # neighbours, of which the loop misses one
                ([[0, -1, 0]], [0, 0]),
                ([[5, 5, -5, 5]], [5, 5, 5]),
                ([[-7]], []),
            ),
            Case("(lambda numbers: [remove_negatives(numbers), numbers])([3, -1])", [[3], [3, -1]]),
            Case("(lambda numbers: remove_negatives(numbers) is numbers)([1, 2])", expected=False),
        ),
    ),
)

# -- recursive -> iterative -----------------------------------------------------------------------------------

_RECURSIVE = '''\
def total(nested):
    """Return the sum of all integers in a list that may hold lists, to any depth."""
    result = 0
    for item in nested:
        if isinstance(item, list):
            result += total(item)
        else:
            result += item
    return result'''

_DEPTH = 5000  # Python gives up at 1000


def _recursion(tree: ast.Module) -> str:
    """Object to a function that needs itself, be it by way of others."""
    functions = reachable(tree, "total")
    for name, function in functions.items():
        if any(name in reachable(tree, used) for used in uses(function) & functions.keys()):
            return f"{name} still calls itself"
    return ""


RECURSIVE_TO_ITERATIVE = coding_test(
    id="recursive-to-iterative",
    title="recursive -> iterative",
    question=(
        f"This Python function is recursive:\n\n{_RECURSIVE}\n\nRewrite it without recursion, so that it works for "
        f"lists nested {_DEPTH} deep, too. Keep its name."
    ),
    task=Task(
        "total",
        (
            *cases(
                "total",
                ([[1, [2, [3, 4], 5]]], 15),
                ([[0]], 0),
                ([[[0], [[0]]]], 0),
                ([[-1, [1]]], 0),
                ([[[[[7]]], 1]], 8),
                ([[10, 20, 30]], 60),
            ),
            Case("total([])", 0),
            Case("(lambda nested: [total(nested), nested])([1, [2]])", [3, [1, [2]]]),
            Case(f"total(__import__('functools').reduce(lambda inner, n: [inner, 1], range({_DEPTH}), []))", _DEPTH),
        ),
        objection=_recursion,
    ),
)
