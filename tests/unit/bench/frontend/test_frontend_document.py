"""The page in an answer, whatever stands around it."""

from __future__ import annotations

import pytest

from suture.bench.frontend.document import Document, find_page

PAGE = "<!DOCTYPE html>\n<html><body>hello</body></html>"


@pytest.mark.parametrize(
    "answer",
    [
        PAGE,
        f"Sure!\n\n{PAGE}\n\nEnjoy.",
        f"Sure!\n\n```html\n{PAGE}\n```\nEnjoy.",
        f"~~~\n{PAGE}\n~~~",
        f"````html\n{PAGE}\n````",
        f"First ```npm start```.\n```bash\nls\n```\n```html\n{PAGE}\n```",
        f"<think>A page like <html>...</html> will do.</think>\n{PAGE}",
        f"A page like ```<html>```, then.\n</think>\n\n```html\n{PAGE}\n```",
        f"<think></think>{PAGE}",
        f"```html\n<html></html>\n```\nOr rather:\n```html\n{PAGE}\n```",
        f"```html\n{PAGE}",
    ],
)
def test_finds_the_page(answer: str) -> None:
    assert find_page(answer) == PAGE


def test_begins_with_html_where_there_is_no_doctype() -> None:
    assert find_page("So: <html lang='en'><p>a</html> done") == "<html lang='en'><p>a</html>"


@pytest.mark.parametrize(
    ("answer", "page"),
    [
        ("```html\n<!DOCTYPE html>\n<html><script>f(", "<!DOCTYPE html>\n<html><script>f("),
        ("<!DOCTYPE html><html><body>cut o", "<!DOCTYPE html><html><body>cut o"),
        (f"```html\n{PAGE}\n<p>more</p>\n```", f"{PAGE}\n<p>more</p>"),
    ],
)
def test_keeps_what_is_wrong_with_it(answer: str, page: str) -> None:
    assert find_page(answer) == page


@pytest.mark.parametrize(
    "answer",
    ["", "I cannot do that.", "```css\na { b: c }\n```", f"<think>I could write {PAGE}", "<div>a part</div>"],
)
def test_finds_no_page(answer: str) -> None:
    assert find_page(answer) == ""


def test_takes_a_page_apart() -> None:
    document = Document.parse(
        "<!doctype html><html><head><style>a { color: red }</style>"
        "<script src='x.js'></script><script type='application/json'>{\"(\": 1}</script>"
        "<script type=module>f('<p>')</script></head><body style='--a: 1'>one<p>two</p><style>b{}"
    )
    assert document.styles == ("a { color: red }", "b{}")
    assert document.scripts == ("f('<p>')",)
    assert document.texts == ("one", "two")
    assert "--a: 1" in document.inline_styles


def test_a_broken_page_has_parts_too() -> None:
    document = Document.parse("<html><p <div>>a</p><script>let a = '</p>'; let b = (")
    assert document.scripts == ("let a = '</p>'; let b = (",)
