"""What a model's card and licence file say of its licence: a name, never advice.

`suture.licences` knows what the licence of that name asks for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, JsonValue, ValidationError

from suture.licences import of_builtin_text
from suture.recipe.strict_yaml import parse_documents

UNKNOWN = "unknown"
_READ_BYTES = 2**20  # of a card or licence: more says nothing of its name

_OPENINGS = {
    r"Apache License\s+Version 2\.0": "apache-2.0",
    r"\bMIT License\b": "mit",
    r"GNU AFFERO GENERAL PUBLIC LICENSE\s+Version 3": "agpl-3.0",
    r"GNU GENERAL PUBLIC LICENSE\s+Version 3": "gpl-3.0",
}
"""How a licence's text begins -> its name, as the hub writes it."""

_HEAD = re.compile(r"\A\s*---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)


class _CardHead(BaseModel):
    """What the head of a model card says of the licence."""

    license: str | list[str] = ""
    license_name: str = ""

    @property
    def name(self) -> str:
        if self.license == "other" and self.license_name:
            return self.license_name
        return self.license if isinstance(self.license, str) else ", ".join(self.license)


def licence_of_folder(folder: Path) -> str:
    """Return the licence that the head of a folder's README.md names, else the one that its LICENSE begins with."""
    texts = (_read(folder / name) for name in ("LICENSE", "LICENSE.txt", "LICENSE.md"))
    return licence_of_card(_read(folder / "README.md")) or _recognised(next(filter(None, texts), ""))


def licence_of_text(text: str) -> str:
    """Return the licence of a recipe's text: a built-in one's, else what the folder of the file says."""
    builtin = of_builtin_text(text)
    return builtin or licence_of_folder(Path(text).expanduser().parent)


def licence_of_card(card: str) -> str:
    """Return the licence that a card names, or nothing if its head is absent or cannot be read."""
    head = _HEAD.match(card)
    try:
        return _CardHead.model_validate(*parse_documents(head[1].encode())).name if head else ""
    except (ValueError, TypeError):  # no YAML, or not one document; pydantic's errors are ValueErrors
        return ""


def licence_of_head(head: Mapping[str, JsonValue]) -> str:
    """Return the licence that the head of a card names, as the hub tells it."""
    try:
        return _CardHead.model_validate(head).name or UNKNOWN
    except ValidationError:
        return UNKNOWN


def _recognised(text: str) -> str:
    names = (name for opening, name in _OPENINGS.items() if re.search(opening, text[:500]))
    return next(names, UNKNOWN)


def _read(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(_READ_BYTES).decode(errors="replace")
