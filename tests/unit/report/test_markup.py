"""Whatever a text holds, it stays text."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import example, given
from hypothesis import strategies as st

from suture.report.markup import Markup, element

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"))


class Reader(HTMLParser):
    """Reads a page back."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, str | None] = {}
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= dict(attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


@given(text=texts, value=texts)
@example(text="</p><script>alert(1)</script>", value='" onclick="alert(1)')
@example(text="&lt;b&gt; &amp;amp;", value="'&quot;")
def test_text_and_attributes_come_back_as_they_were(text: str, value: str) -> None:
    page = Reader(element("p", element("b", text), title=f"x{value}"))
    assert page.tags == ["p", "b"]
    assert page.text == text
    assert page.attributes == {"title": f"x{value}"}


def test_markup_is_kept_and_attribute_names_are_mended() -> None:
    made = element("td", Markup("<br>"), "<br>", class_="number", data_label="size", title="")
    assert made == '<td class="number" data-label="size"><br>&lt;br&gt;</td>'


def test_elements_without_content_have_no_end() -> None:
    assert element("meta", charset="utf-8") == '<meta charset="utf-8">'
