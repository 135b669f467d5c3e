"""The four checks that every page must pass, and the words that every prompt ends with."""

from __future__ import annotations

import re

from suture.bench.frontend.document import Document
from suture.bench.frontend.form import BrowserCheck, Check, NotAsAskedError, StaticCheck, require
from suture.bench.frontend.garbled import garbled
from suture.bench.frontend.page import Page
from suture.bench.frontend.syntax import css_bracket, javascript_bracket

RULES = """\
Rules:
- Answer with one complete HTML file in one code block, and nothing else. It begins with <!DOCTYPE html> and ends \
with </html>.
- All CSS stands in a <style> element and all JavaScript in a <script> element of that file. No libraries, no web \
fonts, no pictures from elsewhere, no network: the file must work offline. Draw pictures with inline SVG, data: URIs \
or CSS.
- Write plain modern JavaScript that raises no errors. All text is English, in Latin letters.
- Keep the ids, classes and attributes named above exactly as they are written: an automatic test uses them. \
Everything else is yours to design; make it look good."""


def ends(document: Document) -> str:
    """The page is whole to its last tag."""
    end = re.sub(r"(?:\s|<!--.*?-->)*\Z", "", document.html[-2000:], flags=re.DOTALL)[-40:]
    require(re.search(r"</html\s*>\Z", end, re.IGNORECASE), f"ends with {end!r}")
    return "ends with </html>"


def brackets(document: Document) -> str:
    """Every bracket of its CSS and its JavaScript pairs; a page without them has nothing that could be right."""
    sheets = [text for text in document.styles if text.strip()]
    scripts = [text for text in document.scripts if text.strip()]
    require(sheets, "there is no CSS")
    require(scripts, "there is no JavaScript")
    for language, sources, first_flaw in (("CSS", sheets, css_bracket), ("JavaScript", scripts, javascript_bracket)):
        for flaw in filter(None, map(first_flaw, sources)):
            raise NotAsAskedError(f"{language}: {flaw}")
    return f"{len(sheets)} style sheets and {len(scripts)} scripts"


def nothing_garbled(document: Document) -> str:
    """Nothing in it but what a page is made of."""
    found = garbled(document)
    require(found is None, str(found))
    return "nothing garbled"


def loads(page: Page) -> str:
    """It loads, shows something, and no error goes uncaught in its first second."""
    require(not page.errors, f"{len(page.errors)} errors, first: {''.join(page.errors[:1])[:200]}")
    require(page.texts() or page.find_all("canvas", "svg", "img"), "nothing can be seen")
    return "no errors"


COMMON: tuple[Check, ...] = (
    StaticCheck("ends", "ends with </html>", ends),
    StaticCheck("brackets", "brackets of CSS and JavaScript pair", brackets),
    StaticCheck("garbled", "nothing garbled", nothing_garbled),
    BrowserCheck("loads", "loads without errors", loads),
)
