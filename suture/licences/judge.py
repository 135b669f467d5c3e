"""What the licences of its parts mean for a model that was made of them. Reading aid, no legal advice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Literal

from pydantic import BaseModel, ConfigDict

from suture.licences.table import DUTIES, Duty, Licence, known

Verdict = Literal["ok", "obligations", "conflict", "unknown"]

_RESTRICTING: tuple[Duty, ...] = ("non_commercial", "use_policy", "naming", "own_terms", "scale", "own_family")
"""What a share-alike licence does not let others add."""


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Licensed(_Row):
    """A part of a model, and what it is under."""

    name: str
    """What the recipe calls it."""
    kind: Literal["model", "data"]
    licence: str
    """As its card or licence file names it; several with commas between them."""


class Requirement(_Row):
    """Something that must be done, or must not."""

    duty: Duty
    text: str
    licences: tuple[str, ...]
    """Which licences ask for it."""
    parts: tuple[str, ...]
    """Which parts are under these."""


class Judgement(_Row):
    """What the licences of all parts come to."""

    verdict: Verdict
    """`ok`: nothing is asked for. `obligations`: see `requirements`. `conflict`: no way is known to keep to all of
    them. `unknown`: a licence is not stated, or is none that the table knows."""
    licence: str
    """What the model may be passed on under: the name of a licence, or `other` where several apply."""
    parts: tuple[Licensed, ...]
    requirements: tuple[Requirement, ...]
    problems: tuple[str, ...]
    """Why it is a conflict or unknown."""

    @property
    def may_be_published(self) -> bool:
        """Whether nothing speaks against it but what `requirements` ask for."""
        return self.verdict in ("ok", "obligations")


def judge(parts: Sequence[Licensed]) -> Judgement:
    """Judge a model by the licences of its parts: models that were merged, adapters, data it was trained on."""
    found: dict[str, Licence] = {}
    users: dict[str, list[str]] = {}
    strange: list[str] = []
    for part, name in _names(parts):
        licence = known(name)
        if licence is None:
            strange.append(f"{part.name}: {_unclear(name)}")
            continue
        found[licence.name] = licence
        users.setdefault(licence.name, []).append(part.name)
    conflicts = [*_forbidden(found.values()), *_clashes(found.values())]
    requirements = tuple(_requirements(found, users))
    return Judgement(
        verdict=_verdict(conflicts, strange, requirements),
        licence="unknown" if strange else _together(tuple(found.values())),
        parts=tuple(dict.fromkeys(parts)),
        requirements=requirements,
        problems=(*conflicts, *strange),
    )


def _names(parts: Iterable[Licensed]) -> Iterator[tuple[Licensed, str]]:
    for part in dict.fromkeys(parts):
        for name in part.licence.split(","):
            yield part, name.strip()


def _unclear(name: str) -> str:
    if name in ("", "unknown"):
        return "no licence is stated"
    return f"its licence {name!r} is not in the table; read it"


def _verdict(conflicts: Sequence[str], strange: Sequence[str], requirements: Sequence[Requirement]) -> Verdict:
    if conflicts:
        return "conflict"
    if strange:
        return "unknown"
    return "obligations" if requirements else "ok"


def _requirements(found: dict[str, Licence], users: dict[str, list[str]]) -> Iterator[Requirement]:
    for duty, text in DUTIES.items():
        asking = [licence for licence in found.values() if duty in licence.duties]
        if not asking:
            continue
        shown = dict.fromkeys(licence.shown for licence in asking if licence.shown) if duty == "naming" else ()
        yield Requirement(
            duty=duty,
            text=": ".join([text, *filter(None, [" / ".join(shown)])]),
            licences=tuple(licence.name for licence in asking),
            parts=tuple(dict.fromkeys(user for licence in asking for user in users[licence.name])),
        )


def _forbidden(licences: Iterable[Licence]) -> Iterator[str]:
    for licence in licences:
        if "no_derivatives" in licence.duties:
            yield f"{licence.name} does not allow to pass on what was made of it"


def _clashes(licences: Iterable[Licence]) -> Iterator[str]:
    for one, other in combinations(licences, 2):
        if one.family and one.family == other.family:
            continue
        reason = _clash(one, other) or _clash(other, one)
        if reason:
            yield reason


def _clash(one: Licence, other: Licence) -> str:
    """Return why the first licence does not go with the second; empty where it does."""
    if "share_alike" in one.duties:
        if "share_alike" in other.duties:
            return f"{one.name} and {other.name} each ask to be the only licence of the whole"
        added: list[Duty] = [duty for duty in other.duties if duty in _RESTRICTING and duty not in one.duties]
        if added:
            return f"{other.name} adds what {one.name} lets nobody add: {DUTIES[added[0]]}"
        if one.family == "gpl-2.0" and other.name == "apache-2.0":
            return f"{other.name} has conditions on patents that {one.name} lets nobody add"
    if "own_family" in one.duties and "own_terms" in other.duties:
        return f"{one.name} may not be used to improve models of other families, and {other.name} is of another"
    return ""


def _together(licences: tuple[Licence, ...]) -> str:
    """Return the licence of the whole: the only one, or the one that asks for the most and covers all others."""
    binding = [licence for licence in licences if _binds(licence)]
    if len(binding) > 1:
        return "other"
    candidates = binding or sorted(licences, key=lambda licence: -len(licence.duties))
    return candidates[0].name if candidates else "unknown"


def _binds(licence: Licence) -> bool:
    return any(duty in licence.duties for duty in (*_RESTRICTING, "share_alike", "no_derivatives"))
