"""HTML built from elements: text is escaped where it enters, so no caller can forget to."""

from __future__ import annotations

import html
from collections.abc import Iterable

_VOID = frozenset({"meta", "br", "hr", "img", "link"})
"""Elements without content and end tag."""


class Markup(str):
    """Text that is HTML already. Everything else is text, and is escaped."""

    __slots__ = ()


def element(tag: str, /, *children: str, **attributes: str) -> Markup:
    """Return an element.

    Args:
        tag: Its name.
        children: Text, which is escaped, or markup, which is kept.
        attributes: Their values are escaped; `class_` stands for `class`, `data_label` for `data-label`.
    """
    written = "".join(
        f' {key.strip("_").replace("_", "-")}="{html.escape(value)}"' for key, value in attributes.items() if value
    )
    if tag in _VOID:
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{joined(children)}</{tag}>")


def joined(children: Iterable[str]) -> Markup:
    """Return texts and markup one after the other."""
    return Markup("".join(child if isinstance(child, Markup) else html.escape(child) for child in children))
