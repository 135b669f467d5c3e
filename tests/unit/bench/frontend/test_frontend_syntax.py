"""Brackets as the languages see them, and the rules in a style sheet."""

from __future__ import annotations

import pytest

from suture.bench.frontend.syntax import (
    animation_words,
    css_bracket,
    javascript_bracket,
    keyframes,
    used_variables,
    width_queries,
)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "const a = /[({]/g, b = '}}', c = \"(\";",
        "const t = `x ${f(`${g[0]} }`)} ( [`;",
        "// {{{\n/* ((( */ f?.[0];",
        "a = b / c; d = '/(' + e / 2;",
        "if (/[)/]/.test(x)) { y = x.replace(/\\(/g, ''); }",
        "class A { #b = (c) => ({ ...c }); static { f(); } }",
        "label: for (const [k, v] of m) { if (k) continue label; }",
        "const emoji = '\U0001f600('; f();",
        "let x = ;",  # wrong, but its brackets are not
    ],
)
def test_javascript_whose_brackets_pair(source: str) -> None:
    assert javascript_bracket(source) is None


@pytest.mark.parametrize(
    ("source", "where"),
    [
        ("function f() {\n  if (a) {\n}", "'{' in line 1"),
        ("f(a))", "')' in line 1"),
        ("}\nf();", "'}' in line 1"),
        ("const x = `a ${b", "'${' in line 1"),
        ("const a = [1, 2;\nf();", "in line 1"),
        ("f(() => { g(", "'(' in line 1"),
        ("{" * 5000, "'{' in line 1"),
    ],
)
def test_javascript_whose_brackets_do_not(source: str, where: str) -> None:
    assert where in (javascript_bracket(source) or "")


@pytest.mark.parametrize(
    "source",
    [
        "",
        "a { b: c }",
        'a::after { content: "}" } /* { ( */ b { c: d }',
        "a { background: url(data:image/svg+xml;{[]}) }",
        "@media (min-width: 1px) and (max-width: calc(2px * (1 + 2))) { a { b: c } }",
        "a[href='('] { b: var(--c, (1)) }",
        "a { & b { c: d } }",
        ".a\\{ { b: c }",
        "a {} .b",
    ],
)
def test_css_whose_brackets_pair(source: str) -> None:
    assert css_bracket(source) is None


@pytest.mark.parametrize(
    ("source", "where"),
    [
        ("a { b: c", "line 1"),
        ("a { b: c }\n}", "'}' in line 2"),
        ("a {\n  b: f(c;\n}", "line 1"),
        ("@media (x { a { b: c } }", "line 1"),
        ("a { b: c)) }", "')' in line 1"),
        ("a { b: url(data:;{()}) }", "line 1"),  # no parenthesis may stand in an address without quotes
        ("a {}\n/* the end", "line 2"),
        ("a { b: url(x }", "line 1"),
        ("a {}\nb { content: 'x", "line 2"),
        ("@media screen { a { b: c }", "line 1"),
    ],
)
def test_css_whose_brackets_do_not(source: str, where: str) -> None:
    assert where in (css_bracket(source) or "")


def test_variables_count_when_set_and_used() -> None:
    sheet = ":root { --a: 1px; --b: red; --c: 2 } p { margin: var( --a ) /* var(--c) */; color: var(--d, var(--b)) }"
    assert used_variables([sheet]) == {"--a", "--b"}
    assert used_variables(["p { color: var(--e) }", "--e: blue"]) == {"--e"}


def test_keyframes_count_when_they_hold_something() -> None:
    sheets = [
        "@keyframes a { from { b: c } } @-webkit-keyframes a { to { b: c } } @keyframes d {}",
        "@media x { @keyframes e { 50% { b: c } } } /* @keyframes f { 0% { b: c } } */",
    ]
    assert keyframes(sheets) == {"a", "e"}


def test_words_of_animations() -> None:
    sheet = (
        "a { animation: move 2s infinite, blink 1s; color: red } b { animation-name: turn } c { transition: fade 1s }"
    )
    words = animation_words([sheet])
    assert {"move", "blink", "turn"} <= words
    assert not words & {"red", "fade"}


def test_media_queries_for_a_width() -> None:
    sheets = [
        "@media print { a { b: c } } @media (max-width: 600px) { a { b: c } }",
        "@supports (a: b) { @media (width >= 40em) { a { b: c } } } @media (min-width: 9px) {}",
    ]
    assert width_queries(sheets) == ["(max-width: 600px)", "(width >= 40em)"]
