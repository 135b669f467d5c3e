"""A class that keeps a state, a tree, and a graph."""

from __future__ import annotations

from suture.bench.suite.coding import Case, Task, cases, coding_test

# -- LRU cache ------------------------------------------------------------------------------------------------


def _got(capacity: int, script: str) -> str:
    """Return the call that gives what each `get` of a script gave; `2=9` puts 9 under the key 2, `2` gets it."""
    steps = [step.split("=") for step in script.split()]
    calls = [
        f"cache.put({step[0]}, {step[1]})" if len(step) > 1 else f"got.append(cache.get({step[0]}))" for step in steps
    ]
    return f"(lambda cache, got: [{', '.join(calls)}, got][-1])(LRUCache({capacity}), [])"


LRU_CACHE = coding_test(
    id="lru-cache",
    title="LRU cache class",
    question=(
        "Write a Python class LRUCache: LRUCache(capacity) makes an empty cache for at most capacity keys; get(key) "
        "returns the value of a key, or -1 if it is not there; put(key, value) sets the value of a key, and if there "
        "are then more keys than capacity, it drops the least recently used one. Both get and put use a key."
    ),
    task=Task(
        "LRUCache",
        (
            Case(_got(2, "1=10 2=20 1 3=30 2 4=40 1 3 4"), [10, -1, -1, 30, 40]),
            Case(_got(2, "1"), [-1]),
            Case(_got(1, "1=10 2=20 1 2"), [-1, 20]),
            Case(_got(2, "1=10 2=20 1=11 3=30 1 2"), [11, -1]),  # an update is a use
            Case(_got(2, "1=10 2=20 1=11 2 1"), [20, 11]),  # and takes no room
            Case(_got(3, "1=1 2=2 3=3 1 2 4=4 3 1 2 4"), [1, 2, -1, 1, 2, 4]),
            Case(_got(2, "1=0 1 2=5 3=6 1 2"), [0, -1, 5]),  # 0 is a value
            Case(_got(2, "1=10 2=20 9 3=30 1 2"), [-1, -1, 20]),  # a miss uses nothing
        ),
    ),
)

# -- binary tree in-order -------------------------------------------------------------------------------------

_NODE = """\
class TreeNode:
    def __init__(self, value, left=None, right=None):
        self.value = value
        self.left = left
        self.right = right"""

_TREE = f"""\
{_NODE}

def tree(form, node=TreeNode):  # the answer may define the class anew
    return None if form is None else node(form[0], tree(form[1], node), tree(form[2], node))
"""

_LEAF_1, _LEAF_3, _LEAF_6 = (f"({value}, None, None)" for value in (1, 3, 6))

TREE_INORDER = coding_test(
    id="tree-inorder",
    title="binary tree in-order",
    question=(
        f"Given is this Python class:\n\n{_NODE}\n\nWrite a function inorder(root) that returns the list of the "
        "values of a binary tree in in-order: left subtree, node, right subtree. An empty tree is None."
    ),
    task=Task(
        "inorder",
        (
            Case(f"inorder(tree((2, {_LEAF_1}, {_LEAF_3})))", [1, 2, 3]),
            Case("inorder(None)", []),
            Case(f"inorder(tree({_LEAF_6}))", [6]),
            Case(f"inorder(tree((1, None, (2, {_LEAF_3}, None))))", [1, 3, 2]),
            Case(f"inorder(tree((5, (4, {_LEAF_6}, None), None)))", [6, 4, 5]),  # not by sorting
            Case(f"inorder(tree((4, (2, {_LEAF_1}, {_LEAF_3}), (0, None, {_LEAF_6}))))", [1, 2, 3, 4, 0, 6]),
            Case(f"(lambda root: [inorder(root), inorder(root)])(tree((2, {_LEAF_1}, None)))", [[1, 2], [1, 2]]),
        ),
        given=_TREE,
    ),
)

# -- graph BFS ------------------------------------------------------------------------------------------------

_GRAPH = {"A": ["B", "C"], "B": ["D", "E"], "C": ["F"], "D": [], "E": ["F"], "F": ["A"], "G": ["A"]}

GRAPH_BFS = coding_test(
    id="graph-bfs",
    title="graph BFS",
    question=(
        "A graph is given as a Python dict that maps each node to the list of its neighbours. Write a function "
        "bfs(graph, start) that returns the list of all nodes that can be reached from start, start among them, in "
        "the order of a breadth-first search. It visits neighbours in the order of their list, and each node once."
    ),
    task=Task(
        "bfs",
        cases(
            "bfs",
            ([_GRAPH, "A"], ["A", "B", "C", "D", "E", "F"]),
            ([_GRAPH, "G"], ["G", "A", "B", "C", "D", "E", "F"]),
            ([_GRAPH, "D"], ["D"]),
            ([_GRAPH, "F"], ["F", "A", "B", "C", "D", "E"]),  # around a cycle
            ([{1: [3, 2], 2: [4], 3: [4, 5], 4: [], 5: [1]}, 1], [1, 3, 2, 4, 5]),  # as listed, not as sorted
            ([{1: [1, 2, 2], 2: [1]}, 1], [1, 2]),  # loops and double edges
        ),
    ),
)
