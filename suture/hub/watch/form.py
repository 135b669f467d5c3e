"""Verdicts, fingerprints, and what one look at a recipe found."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

Verdict = Literal[
    "unchanged", "cosmetic", "new", "material", "licence_changed", "rate_limited", "unreachable", "gated", "gone"
]
"""From the least to the most serious; that of a recipe is the most serious of its sources."""

SERIOUSNESS: tuple[Verdict, ...] = (
    "unchanged",
    "cosmetic",
    "new",
    "material",
    "licence_changed",
    "rate_limited",
    "unreachable",
    "gated",
    "gone",
)
TROUBLES: frozenset[Verdict] = frozenset({"rate_limited", "unreachable", "gated", "gone"})
"""Verdicts that say nothing of the content: never a change, and nothing starts."""


class Row(BaseModel):
    """What all parts have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Fingerprint(Row):
    """What a source is made of at one commit, as far as a build depends on it."""

    commit: str
    files: dict[str, str]
    """Weights, index, configs, tokenizer, templates -> digest."""
    terms: dict[str, str]
    """Licence files -> digest."""
    card: str
    """Digest of README.md; empty where there is none."""
    licence: str
    """What the card names."""


class SourceLook(Row):
    """What a look at one source found."""

    name: str
    """What the recipe calls it; an adapter's ends in `-adapter`."""
    repo: str
    revision: str
    verdict: Verdict
    seen: str
    """The commit that was seen before; empty at the first look."""
    commit: str
    """The commit now; empty where the hub did not say."""
    changed: tuple[str, ...] = ()
    """Files that a build depends on and that are new, changed or gone."""
    why: str = ""
    """In words."""
    is_news: bool = False
    """Whether the look before found something else."""


class Look(Row):
    """What a look at all sources of a recipe found."""

    recipe: str
    """Its name."""
    at: datetime
    verdict: Verdict
    """The most serious of the sources'."""
    sources: tuple[SourceLook, ...]
    combination: str
    """Digest of the recipe and of all that its sources hold now; empty where a source did not say."""
    due: bool
    """Whether a build of this combination should start now."""
    due_at: datetime | None
    """When it will be due if nothing else changes; None where nothing is to be built."""
    started: str = ""
    """What its build is called, once it was started."""
    why: str
    """In words: what happens next, and why."""


def worst(verdicts: tuple[Verdict, ...]) -> Verdict:
    """Return the most serious of some verdicts."""
    return max(verdicts, key=SERIOUSNESS.index)
