"""The category `programming`: code to be written, mended and read.

functions.py       functions of a few lines, by their results
structures.py      a class with a state, a tree, a graph
rewriting.py       code that is given, to be mended or turned around
javascript.py      the same by node
sql.py             a query, by the rows it gives
tests_for_code.py  tests, by what they catch
reading.py         what code that is given costs
"""

from __future__ import annotations

from suture.bench.suite.form import Test
from suture.bench.suite.programming.functions import (
    BALANCED_PARENTHESES,
    CLIMBING_STAIRS,
    GROUP_ANAGRAMS,
    LONGEST_SUBSTRING,
    QUICKSORT,
    TWO_SUM,
)
from suture.bench.suite.programming.javascript import JAVASCRIPT
from suture.bench.suite.programming.reading import COMPLEXITY
from suture.bench.suite.programming.rewriting import RECURSIVE_TO_ITERATIVE, SUBTLE_BUG
from suture.bench.suite.programming.sql import SQL
from suture.bench.suite.programming.structures import GRAPH_BFS, LRU_CACHE, TREE_INORDER
from suture.bench.suite.programming.tests_for_code import WRITES_TESTS

PROGRAMMING: tuple[Test, ...] = (
    QUICKSORT,
    TWO_SUM,
    BALANCED_PARENTHESES,
    LONGEST_SUBSTRING,
    CLIMBING_STAIRS,
    LRU_CACHE,
    TREE_INORDER,
    GRAPH_BFS,
    SUBTLE_BUG,
    RECURSIVE_TO_ITERATIVE,
    JAVASCRIPT,
    SQL,
    WRITES_TESTS,
    COMPLEXITY,
    GROUP_ANAGRAMS,
)
