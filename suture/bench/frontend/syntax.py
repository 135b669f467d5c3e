"""What CSS and JavaScript say, as their own tokenizers read them: brackets, and the rules that checks ask for.

Counting characters would not do: brackets in strings, comments, regular expressions and addresses are legal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise
from typing import Any

import tinycss2
import tree_sitter_javascript
from tree_sitter import Language, Node, Parser

_OPENING = {"(": ")", "[": "]", "{": "}", "${": "}"}
_CLOSING = {")", "]", "}"}
_ANIMATIONS = {"animation", "animation-name"}


# -- JavaScript -----------------------------------------------------------------------------------------------


def javascript_bracket(source: str) -> str | None:
    """Return the first bracket that does not pair, and its line; None where all do."""
    open_brackets: list[tuple[str, int]] = []
    for token in _leaves(_parser().parse(source.encode()).root_node):
        if token.is_missing:  # the parser made it up
            continue
        line = token.start_point.row + 1
        if token.type in _OPENING:
            open_brackets.append((token.type, line))
        elif token.type in _CLOSING and (not open_brackets or _OPENING[open_brackets.pop()[0]] != token.type):
            return f"{token.type!r} in line {line} closes nothing"
    if open_brackets:
        bracket, line = open_brackets[-1]
        return f"{bracket!r} in line {line} is never closed"
    return None


@cache
def _parser() -> Parser:
    return Parser(Language(tree_sitter_javascript.language()))


def _leaves(root: Node) -> Iterator[Node]:
    """Yield the tokens in order; without recursion, for a model can nest without end."""
    stack = [root]
    while stack:
        node = stack.pop()
        if node.child_count == 0:
            yield node
        stack.extend(reversed(node.children))


# -- CSS ------------------------------------------------------------------------------------------------------


def css_bracket(source: str) -> str | None:
    """Return a bracket that does not pair, and its line; None where all do.

    The tokenizer reports brackets that close nothing, but not those that are never closed. So one that closes
    nothing is put at the end: unless the tokenizer reports it there, at the outside, something is still open.
    """
    nodes = _tokens(source + "\n}")
    last = nodes.pop()
    for error in _errors(nodes):
        return f"{error.kind!r} in line {error.source_line} closes nothing"
    if last.type == "error":
        return None
    return f"what begins in line {last.source_line} with a {last.type} is never closed"


def _tokens(source: str) -> list[Any]:
    return tinycss2.parse_component_value_list(source)


def _errors(nodes: Iterable[Any]) -> Iterator[Any]:
    for node in _everywhere(nodes):
        if node.type == "error" and node.kind in _CLOSING:
            yield node


def _everywhere(nodes: Iterable[Any]) -> Iterator[Any]:
    """Yield all tokens, with those inside of blocks and functions."""
    stack = list(nodes)[::-1]
    while stack:
        node = stack.pop()
        yield node
        inside = getattr(node, "arguments", None) or getattr(node, "content", None)
        stack.extend(reversed(inside or ()))


def used_variables(sources: Iterable[str]) -> set[str]:
    """Return the custom properties that are both set and used."""
    declared: set[str] = set()
    used: set[str] = set()
    for source in sources:
        nodes = [node for node in _everywhere(_tokens(source)) if node.type not in ("whitespace", "comment")]
        for node, following in pairwise(nodes):
            if node.type == "ident" and node.value.startswith("--") and following == ":":
                declared.add(node.value)
            elif node.type == "function" and node.lower_name == "var" and following.type == "ident":
                used.add(following.value)
    return declared & used


def keyframes(sources: Iterable[str]) -> set[str]:
    """Return the names of the keyframe rules that hold something."""
    names: set[str] = set()
    for rule in _rules(sources):
        if rule.lower_at_keyword.removeprefix("-webkit-") == "keyframes" and _blocks(rule.content):
            names |= {node.value for node in rule.prelude if node.type in ("ident", "string")}
    return names


def animation_words(sources: Iterable[str]) -> set[str]:
    """Return every word in the values of `animation` and `animation-name`."""
    words: set[str] = set()
    for source in sources:
        nodes = _tokens(source)
        for block in (nodes, *(node.content for node in _everywhere(nodes) if node.type == "{} block")):
            inside: list[Any] = tinycss2.parse_blocks_contents(block)
            for found in inside:
                if found.type == "declaration" and found.lower_name.removeprefix("-webkit-") in _ANIMATIONS:
                    words |= {node.value for node in found.value if node.type in ("ident", "string")}
    return words


def width_queries(sources: Iterable[str]) -> list[str]:
    """Return the conditions on the width of the media rules that hold something."""
    return [
        tinycss2.serialize(rule.prelude).strip()
        for rule in _rules(sources)
        if rule.lower_at_keyword == "media"
        and _blocks(rule.content)
        and re.search(r"\bwidth\b", tinycss2.serialize(rule.prelude))
    ]


def _rules(sources: Iterable[str]) -> Iterator[Any]:
    """Yield the at-rules with a block, wherever they stand."""
    for source in sources:
        stack: list[Any] = tinycss2.parse_stylesheet(source, skip_comments=True, skip_whitespace=True)[::-1]
        while stack:
            rule = stack.pop()
            if rule.type == "at-rule" and rule.content is not None:
                yield rule
                inner: list[Any] = tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
                stack.extend(reversed(inner))


def _blocks(nodes: Iterable[Any]) -> list[Any]:
    """Return the blocks that hold more than white space."""
    return [
        node
        for node in nodes
        if node.type == "{} block" and any(inner.type not in ("whitespace", "comment") for inner in node.content)
    ]
