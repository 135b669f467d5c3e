"""What a model's card and licence file say of its licence. A name, never advice."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError

UNKNOWN = "unknown"

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
    return _named(_read(folder / "README.md")) or _recognised(next(filter(None, texts), ""))


def _named(card: str) -> str:
    """Return the licence that a card names, or nothing if its head is absent or cannot be read."""
    head = _HEAD.match(card)
    try:
        return _CardHead.model_validate(yaml.safe_load(head[1])).name if head else ""
    except (yaml.YAMLError, ValidationError):
        return ""


def _recognised(text: str) -> str:
    names = (name for opening, name in _OPENINGS.items() if re.search(opening, text[:500]))
    return next(names, UNKNOWN)


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""
