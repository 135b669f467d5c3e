"""Code for a team that agrees on rules as it goes: what was agreed once holds for all that is written later."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from suture.bench.suite.form import Score, right, wrong
from suture.bench.suite.reading import code_blocks, parsed
from suture.bench.suite.scenarios.turns import Call, Check, Scenario, Turn

Rule = Callable[[ast.FunctionDef], bool]


def _parameters(function: ast.FunctionDef) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def _hinted(function: ast.FunctionDef) -> bool:
    return function.returns is not None and all(each.annotation is not None for each in _parameters(function))


def _refuses(function: ast.FunctionDef) -> bool:
    raised = [node.exc for node in ast.walk(function) if isinstance(node, ast.Raise)]
    names = [each.func if isinstance(each, ast.Call) else each for each in raised]
    return any(isinstance(name, ast.Name) and name.id == "ValueError" for name in names)


_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "type hints": _hinted,
        "ValueError for negative sizes": _refuses,
        "a docstring": lambda function: bool(ast.get_docstring(function)),
    }
)


def _code(rules: Sequence[str], *names: str) -> Check:
    """The code has just these functions at its top level, and each keeps the rules."""

    def check(text: str) -> Score:
        blocks = code_blocks(text)
        if not blocks:
            return wrong("no_fence", "there is no code block")
        modules = [module for module in map(parsed, blocks) if module is not None]
        if len(modules) < len(blocks):
            return wrong("syntax", "a code block is not Python")
        functions = [node for module in modules for node in module.body if isinstance(node, ast.FunctionDef)]
        found = sorted(function.name for function in functions)
        if found != sorted(names):
            return wrong("forgot", f"has {', '.join(found) or 'no function'}, expected {', '.join(sorted(names))}")
        return _kept(functions, rules)

    return check


def _kept(functions: Sequence[ast.FunctionDef], rules: Sequence[str]) -> Score:
    for rule in rules:
        breaking = [function.name for function in functions if not _RULES[rule](function)]
        if breaking:
            return wrong("forgot", f"{', '.join(breaking)} lacks {rule}")
    return right("keeps the rules")


_CALLS: Mapping[str, tuple[tuple[int, ...], float]] = MappingProxyType(
    {
        "area": ((3, 5), 15),
        "perimeter": ((3, 5), 16),
        "circle_area": ((2,), 4 * math.pi),
        "box_volume": ((2, 3, 4), 24),
        "cube_surface": ((3,), 54),
        "diagonal": ((3, 4), 5),
        "triangle_area": ((6, 5), 15),
    }
)
"""Arguments for each function, and what it must return for them."""
_HINTS, _ERROR, _DOCUMENTED = _RULES


def _turn(says: str, rules: Sequence[str], prefix: str, *functions: str) -> Turn:
    """Return a turn that asks for these functions, named with the prefix."""
    calls = tuple(Call(f"{prefix}{name}", *_CALLS[name]) for name in functions)
    return Turn(says, _code(rules, *(call.name for call in calls)), calls)


REVIEW = Scenario(
    system=(
        "You write Python for a team that agrees on rules as it goes. A rule that was agreed on holds for all code "
        "written after it. Reply with one code block of just what is asked for, complete, at the top level, without "
        "helper functions, classes or examples, and keep what you say about it to one sentence."
    ),
    turns=(
        _turn("Write a function area(width, height) for the area of a rectangle.", (), "", "area"),
        _turn(
            "Agreed: all parameters and results get type hints. "
            "Write perimeter(width, height), for the length of all sides of a rectangle.",
            (_HINTS,),
            "",
            "perimeter",
        ),
        _turn(
            "Agreed: the name of every function begins with geo_. By this rule, write circle_area(radius).",
            (_HINTS,),
            "geo_",
            "circle_area",
        ),
        _turn(
            "Agreed: every function raises ValueError if a size is negative. "
            "Now write box_volume(length, width, height).",
            (_HINTS, _ERROR),
            "geo_",
            "box_volume",
        ),
        _turn(
            "Agreed: every function gets a docstring. "
            "Now write cube_surface(side), for the area of all faces of a cube.",
            (_HINTS, _ERROR, _DOCUMENTED),
            "geo_",
            "cube_surface",
        ),
        _turn(
            "Now write diagonal(width, height), for the length of the diagonal of a rectangle.",
            (_HINTS, _ERROR, _DOCUMENTED),
            "geo_",
            "diagonal",
        ),
        _turn(
            "One rule changes: names begin with shape_ instead of geo_; the other rules stay. "
            "Now write triangle_area(base, height).",
            (_HINTS, _ERROR, _DOCUMENTED),
            "shape_",
            "triangle_area",
        ),
        _turn(
            "Now write the whole module: all seven functions so far, the older ones changed so that each keeps all "
            "the rules that hold now.",
            (_HINTS, _ERROR, _DOCUMENTED),
            "shape_",
            *_CALLS,
        ),
        _turn(
            "Remove the function for the cube, and write the whole module again.",
            (_HINTS, _ERROR, _DOCUMENTED),
            "shape_",
            *(name for name in _CALLS if name != "cube_surface"),
        ),
    ),
)
