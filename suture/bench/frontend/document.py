"""Finds the page in an answer, and takes it apart into markup, CSS and JavaScript."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html.parser import HTMLParser

from suture.bench.suite.reading import code_blocks

_START = re.compile(r"<!doctype html|<html\b", re.IGNORECASE)
_END = re.compile(r"</html\s*>", re.IGNORECASE)
_TAGS = "think|thinking|thought|reasoning"
_THOUGHT_OVER = re.compile(rf"</(?:{_TAGS})>", re.IGNORECASE)
_THINKS_ON = re.compile(rf"\A\s*<(?:{_TAGS})>", re.IGNORECASE)

_SCRIPT_TYPES = {"", "module", "text/javascript", "application/javascript"}
"""Others hold data or templates."""


def find_page(answer: str) -> str:
    """Return the HTML of an answer: of the longest code block with a page in it, else from its start to its end.

    Thoughts before the page are passed over, whether or not the tag that opens them is there. The text is empty
    when the answer holds no page.
    """
    said = _after_thoughts(answer)
    blocks = [block for block in code_blocks(said) if _START.search(block)]
    if blocks:
        return max(blocks, key=len).strip()
    start = _START.search(said)
    if start is None:
        return ""
    page = said[start.start() :]
    ends = list(_END.finditer(page))
    return page[: ends[-1].end()] if ends else page.strip()


def _after_thoughts(answer: str) -> str:
    starts = list(_START.finditer(answer))
    if not starts:
        return ""
    before = [over for over in _THOUGHT_OVER.finditer(answer) if over.end() <= starts[-1].start()]
    if before:
        return answer[before[-1].end() :]
    return "" if _THINKS_ON.match(answer) and not _THOUGHT_OVER.search(answer) else answer


@dataclass(frozen=True)
class Document:
    """A page, taken apart.

    Attributes:
        html: All of it; empty when there is none.
        texts: What stands between tags, one string per place, without scripts and styles.
        styles: Contents of its style elements.
        scripts: Contents of its script elements, as far as they are JavaScript.
        inline_styles: Values of its style attributes.
    """

    html: str
    texts: tuple[str, ...]
    styles: tuple[str, ...]
    scripts: tuple[str, ...]
    inline_styles: tuple[str, ...]

    @classmethod
    def parse(cls, html: str) -> Document:
        """Return the parts of a page, however broken it is."""
        parser = _Parser()
        parser.feed(html)
        parser.close()
        return cls(
            html, tuple(parser.texts), tuple(parser.styles), tuple(parser.scripts), tuple(parser.inline_styles)
        )


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.styles: list[str] = []
        self.scripts: list[str] = []
        self.inline_styles: list[str] = []
        self._into: list[str] | None = self.texts

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.inline_styles.append(values.get("style") or "")
        if tag == "style":
            self._open(self.styles)
        elif tag == "script":
            is_code = (values.get("type") or "").lower() in _SCRIPT_TYPES and "src" not in values
            self._open(self.scripts if is_code else None)

    def _open(self, into: list[str] | None) -> None:
        self._into = into
        if into is not None:
            into.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("style", "script"):
            self._into = self.texts

    def close(self) -> None:
        """End, with the script or style that was never closed: some Pythons drop it."""
        super().close()
        if self.rawdata and self._into is not self.texts:
            self.handle_data(self.rawdata)

    def handle_data(self, data: str) -> None:
        if self._into is self.texts:
            self.texts.append(data)
        elif self._into is not None:
            self._into[-1] += data
