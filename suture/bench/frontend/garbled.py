"""Signs that a page came from a model that lost its way: what no one who writes a page puts in."""

from __future__ import annotations

import re
from itertools import pairwise

from suture.bench.frontend.document import Document

_BROKEN = re.compile(r"[\ufffd\ufffe\uffff\x00-\x08\x0b\x0e-\x1f]")
_FENCE = re.compile(r"^\s{0,3}(?:```|~~~)", re.MULTILINE)
_TAG = re.compile(r"</?(?:think|thinking|thought|reasoning|tool_call|scratchpad)>", re.IGNORECASE)
_TOKEN = re.compile(r"<[|\uff5c][\w\u2581 -]{1,40}[|\uff5c]>|<(?:start|end)_of_turn>|\[/INST\]")
_FOREIGN = re.compile(
    "[\u0400-\u1fff\u2d00-\u2dff\u3040-\u9fff\ua000-\ud7ff\uf900-\ufaff\ufb1d-\ufdff\ufe70-\ufefc\uff66-\uffdc]"
)
"""Letters of scripts other than Latin and Greek: Cyrillic to the extensions of Greek, kana, Chinese characters ..."""
_EXTENDED_LATIN_AND_GREEK = re.compile("[\u1d00-\u1fff]")

_MOST_REPEATS = 12
"""How often a phrase may follow itself in one text: a marquee says a few words again and again."""
_MOST_EQUAL_LINES = 80
"""How many equal lines may follow one another: a page may hold many equal particles, a loop goes on and on."""
_LONGEST_PHRASE = 12  # words


def garbled(document: Document) -> str | None:
    """Return the first sign found, with where; None where there is none."""
    html = document.html
    for name, pattern in (
        ("a broken character", _BROKEN),
        ("a code fence", _FENCE),
        ("a tag of thinking", _TAG),
        ("a template token", _TOKEN),
    ):
        found = pattern.search(html)
        if found:
            return f"{name} in line {_line(html, found)}: {found[0].strip()!r}"
    return _foreign(html) or _repeated_phrase(document.texts) or _repeated_line(html)


def _foreign(html: str) -> str | None:
    for found in _FOREIGN.finditer(html):
        if not _EXTENDED_LATIN_AND_GREEK.match(found[0]):
            return f"a foreign script in line {_line(html, found)}: {found[0]!r}"
    return None


def _line(html: str, found: re.Match[str]) -> int:
    return html.count("\n", 0, found.start()) + 1


def _repeated_phrase(texts: tuple[str, ...]) -> str | None:
    for text in texts:
        words = re.findall(r"[^\W\d_]+", text.lower())
        for size in range(1, _LONGEST_PHRASE + 1):
            run = size
            for word, later in zip(words, words[size:], strict=False):
                run = run + 1 if word == later else size
                if run > size * _MOST_REPEATS:
                    return f"the same {size} words more than {_MOST_REPEATS} times in a row, among them {word!r}"
    return None


def _repeated_line(html: str) -> str | None:
    lines = [line.strip() for line in html.splitlines() if line.strip()]
    run = 1
    for line, following in pairwise(lines):
        run = run + 1 if line == following else 1
        if run > _MOST_EQUAL_LINES:
            return f"the same line more than {_MOST_EQUAL_LINES} times in a row: {line[:60]!r}"
    return None
