"""The page holds everything, asks for nothing, and no text becomes markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from suture.report.data import ReportData
from suture.report.html import html_page

VOID = {"meta", "br", "hr", "img", "link"}
HOSTILE = "</title></style></pre><script>alert(1)</script><img src=http://example.org/x onerror=alert(1)>"


class Page(HTMLParser):
    """Reads a page; fails where an element is not closed in its order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def page(data: ReportData) -> str:
    return html_page(data)


def test_every_element_is_closed(page: str) -> None:
    assert Page(page).open == []


def test_everything_is_in_it(page: str, data: ReportData) -> None:
    text = Page(page).text
    for arm in data.arms:
        assert arm.perplexity is not None
        assert f"{arm.perplexity.value} ± {arm.perplexity.error}" in text
    for finding in data.findings:
        assert finding.text in text.replace("\N{NO-BREAK SPACE}", " ")
    for step in data.steps:
        assert step.label in text
    assert text.count("Cached") == 2
    assert data.sources[0].commit in text
    assert "learning_rate: 0.0005" in text


def test_the_scoreboard_comes_first(page: str) -> None:
    titles = re.findall(r"<h2>([^<]+)</h2>", page)
    assert titles == [
        "Scoreboard",
        "Findings",
        "Loss and perplexity",
        "Tests passed",
        "Merge",
        "Trainings",
        "Steps",
        "Provenance",
        "Recipe",
    ]


def test_nothing_is_loaded(page: str) -> None:
    read = Page(page)
    assert not read.tags & {"script", "link", "img", "iframe", "object"}
    assert not read.attributes & {"src", "onclick", "onload"}
    assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', page))
    assert set(re.findall(r"https?://[^\s\"'<)]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "@import" not in page
    assert "default-src &#x27;none&#x27;" in page


def test_colours_of_the_plots_are_those_of_the_page(page: str) -> None:
    used = set(re.findall(r"var\(--([a-z0-9-]+)\)", page)) - {"arm", "tone", "share"}
    light, dark = re.findall(r":root \{([^}]*)\}", page)
    assert used <= set(re.findall(r"--([a-z0-9-]+):", light))
    assert set(re.findall(r"--([a-z0-9-]+):", light)) == set(re.findall(r"--([a-z0-9-]+):", dark))


def test_hostile_text_stays_text(data: ReportData, page: str) -> None:
    source = data.sources[0].model_copy(update={"model": HOSTILE, "licence": HOSTILE, "note": HOSTILE})
    test = data.arms[0].tests[0].model_copy(update={"id": HOSTILE, "error_class": HOSTILE, "passed": 0})
    arm = data.arms[0].model_copy(
        update={"quant": HOSTILE, "tests": (test,), "perplexities": {HOSTILE: data.arms[0].perplexity}}
    )
    finding = data.findings[0].model_copy(update={"text": HOSTILE, "numbers": HOSTILE})
    hostile = data.model_copy(
        update={
            "description": HOSTILE,
            "error": HOSTILE,
            "run": HOSTILE,
            "flow_run": HOSTILE,
            "sources": (source, data.sources[1]),
            "arms": (arm,),
            "findings": (finding,),
            "tools": {HOSTILE: (HOSTILE,)},
            "packages": {HOSTILE: (HOSTILE,)},
            "recipe": {"name": HOSTILE},
        }
    )
    read, tame = Page(html_page(hostile)), Page(page)
    assert read.tags - {"pre"} <= tame.tags
    assert read.attributes <= tame.attributes
    assert read.text.count(HOSTILE) >= 12


def test_a_failed_run_shows_its_error_and_what_is_missing(data: ReportData) -> None:
    arm = data.arms[3].model_copy(
        update={"perplexity": None, "size_bytes": None, "tokens_per_second": None, "passed": None}
    )
    failed = data.model_copy(update={"state": "failed", "error": "The disk is full.", "arms": (arm,), "merges": ()})
    page = html_page(failed)
    assert '<pre class="error">The disk is full.</pre>' in page
    assert page.count('<span class="missing">missing</span>') == 4
    assert "<h2>Merge</h2>" not in page


def test_bars_of_time_are_for_what_was_built(data: ReportData) -> None:
    shares = dict(
        zip([step.label for step in data.steps], re.findall(r"--share: (\d+)%", html_page(data)), strict=True)
    )
    assert (shares["fetch a"], shares["finetune a"], shares["heal healed"]) == ("0", "50", "100")
    cached = [step.model_copy(update={"state": "cached"}) for step in data.steps]
    assert set(re.findall(r"--share: (\d+)%", html_page(data.model_copy(update={"steps": tuple(cached)})))) == {"0"}


def test_seams_are_sewn_where_the_merge_has_them(data: ReportData) -> None:
    (merge,) = data.merges
    assert merge.account is not None
    whole = merge.model_copy(update={"account": merge.account.model_copy(update={"seams": ()})})
    assert html_page(data).count('<li class="seam"') == 1
    assert html_page(data.model_copy(update={"merges": (whole,)})).count('<li class="seam"') == 0
