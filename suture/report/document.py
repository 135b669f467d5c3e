"""A whole page of HTML: its head, and what a browser may do with it."""

from __future__ import annotations

from importlib import resources

from suture.report.markup import Markup, element

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Show it, and nothing else. Nothing in it can call home, whatever a recipe's text holds."""


def document(title: str, main: Markup) -> str:
    """Return a page without scripts that needs no network; light and dark, wide and narrow.

    Args:
        title: What the browser's tab says.
        main: All that is to be seen.
    """
    style = resources.files("suture.report").joinpath("report.css").read_text()
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(style)),
    )
    return f"<!doctype html>\n{element('html', head, element('body', main), lang='en')}\n"
