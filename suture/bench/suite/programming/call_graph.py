"""Which functions some Python code defines, and which of them a function needs."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def reachable(tree: ast.Module, start: str) -> Mapping[str, Function]:
    """Return the function of a name and all that it uses, by name; of several with one name the last counts."""
    functions = dict(_functions(tree))
    reached: dict[str, Function] = {}
    rest = {start}
    while rest:
        name = rest.pop()
        if name in functions and name not in reached:
            reached[name] = functions[name]
            rest |= uses(functions[name])
    return reached


def uses(function: Function) -> set[str]:
    """Return the names that a function reads: to call them, or to have them called, as by map()."""
    return set(_names(function))


def _functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value


def _names(function: Function) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif (
            isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}
        ):
            yield node.attr
