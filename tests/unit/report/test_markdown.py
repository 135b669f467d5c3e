"""The Markdown page, read by a Markdown parser."""

from __future__ import annotations

import base64
import re
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from syrupy.assertion import SnapshotAssertion

from suture.report.data import ReportData
from suture.report.markdown import escape, markdown_page

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def shown(tokens: list[Token]) -> str:
    """Return what a reader sees; anything but text would be missing from it."""
    return "".join(
        child.content for token in tokens for child in token.children or [] if child.type.startswith("text")
    )


@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"])))
@example(text="a | b")
@example(text="[x](javascript:alert(1)) ![y](http://z) <script>alert(1)</script> `c` *d* _e_ ~~f~~ &amp; $g$")
@example(text="# heading")
@example(text="1. list")
@example(text="- list")
@example(text="===")
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    line = " ".join(text.split())
    paragraph = PARSER.parse(escape(text))
    assert shown(paragraph) == line
    assert {token.type for token in paragraph} <= {"paragraph_open", "inline", "paragraph_close"}


@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_escaped_text_stays_in_its_cell(text: str) -> None:
    table = PARSER.parse(f"| a | b |\n| --- | --- |\n| x | {escape(text)} |")
    cells = [token for token in table if token.type == "inline"]
    assert len(cells) == 4
    assert shown(cells[-1:]) == " ".join(text.split())


def test_plots_are_images_that_hold_their_data(data: ReportData) -> None:
    images = re.findall(r"!\[[^\]]*\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", markdown_page(data))
    assert len(images) == 2
    assert all(base64.b64decode(image).startswith(b"<svg ") for image in images)


def test_the_page(data: ReportData, snapshot: SnapshotAssertion) -> None:
    page = re.sub(r"base64,[A-Za-z0-9+/=]+", "base64,...", markdown_page(data))
    assert page == snapshot


def test_fences_hold_whatever_a_recipe_says(data: ReportData) -> None:
    hostile = data.model_copy(update={"recipe": {"description": "```\n# heading\n````"}, "error": "`````\n# broken"})
    tokens = PARSER.parse(markdown_page(hostile))
    fences = [token for token in tokens if token.type == "fence"]
    assert [fence.info for fence in fences] == ["text", "yaml"]
    assert "# broken" in fences[0].content
    headings = [after.content for before, after in pairwise(tokens) if before.type == "heading_open"]
    assert "heading" not in headings
    assert headings[-1] == "Recipe"
