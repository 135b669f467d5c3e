"""What betrays a model that lost its way, and what does not."""

from __future__ import annotations

import pytest

from suture.bench.frontend.document import Document
from suture.bench.frontend.garbled import garbled


def sign(body: str) -> str | None:
    return garbled(Document.parse(f"<!DOCTYPE html>\n<html>\n<body>\n{body}\n</body>\n</html>"))


@pytest.mark.parametrize(
    "body",
    [
        "<p>Caf\u00e9, \u0141\u00f3d\u017a \u2014 \u201cquotes\u201d, 20 \u00b0C, \u20ac5, \u03c0 and \u00b5</p>",
        "<p>\U0001f600 \u2600\ufe0f \u2605\u2605\u2605\u2605\u2605 \u2713 \u2192 \u2139\ufe0f \u2610</p>",
        "<div class='star'></div>\n" * 60,
        "<marquee>" + "New drop today. " * 8 + "</marquee>",
        "<p>" + "0 1 " * 500 + "</p>",
        "<script>const fence = 'a `b` c'; const s = `\n  two\n`;</script>",
        "<s>$20</s> <p>I think so</p> <code>&lt;think&gt;</code>",
        "<img src='data:image/png;base64," + "A" * 5000 + "'>",
        "<p>that that had had had</p>",
    ],
)
def test_nothing_garbled(body: str) -> None:
    assert sign(body) is None


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("<p>Caf\ufffd</p>", "broken character in line 4"),
        ("<p>\x07</p>", "broken character"),
        ("<p>a</p>\n```", "code fence in line 5"),
        ("```html\n<p>a</p>", "code fence"),
        ("<think>Now the script.</think>", "tag of thinking"),
        ("a</thought>", "tag of thinking"),
        ("<p>done<|im_end|></p>", "template token"),
        ("<p>\u0432\u0435\u0442\u0435\u0440</p>", "foreign script in line 4"),
        ("<script>// \u8bbe\u7f6e\n</script>", "foreign script"),
        ("<p>\uc548\ub155</p>", "foreign script"),
        ("<p>\u0645\u0631\u062d\u0628\u0627</p>", "foreign script"),
        ("<p>" + "the end " * 40 + "</p>", "the same 2 words"),
        ("<p>" + "very " * 14 + "good</p>", "the same 1 words"),
        ("<script>\n" + "  count += 1;\n" * 100 + "</script>", "the same line"),
    ],
)
def test_garbled(body: str, why: str) -> None:
    assert why in (sign(body) or "")


def test_long_pages_are_read_quickly() -> None:
    words = " ".join(f"{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{chr(97 + i // 676 % 26)}" for i in range(30_000))
    assert sign(f"<p>{words}</p>") is None
