"""What changed since a fingerprint that was seen before."""

from __future__ import annotations

from collections.abc import Mapping

from suture.hub.watch.fingerprint import Trouble, Watched
from suture.hub.watch.form import Fingerprint, SourceLook


def compare(source: Watched, seen: Fingerprint | None, now: Fingerprint | Trouble) -> SourceLook:
    """Return what a look at a source found."""
    found = SourceLook(
        name=source.name,
        repo=source.repo,
        revision=source.revision,
        verdict="unchanged",
        seen="" if seen is None else seen.commit,
        commit="" if isinstance(now, Trouble) else now.commit,
    )
    if isinstance(now, Trouble):
        return found.model_copy(update={"verdict": now.verdict, "why": now.why})
    if seen is None:
        return found.model_copy(update={"verdict": "new", "why": "seen for the first time"})
    changed = _changed(seen.files, now.files)
    if (terms := _terms(seen, now)) is not None:
        also = f"; also {', '.join(changed)}" if changed else ""
        return found.model_copy(
            update={"verdict": "licence_changed", "why": f"{terms}{also}", "changed": tuple(changed)}
        )
    if changed:
        return found.model_copy(update={"verdict": "material", "why": ", ".join(changed), "changed": tuple(changed)})
    if seen.commit != now.commit:
        return found.model_copy(update={"verdict": "cosmetic", "why": "nothing that a build depends on"})
    return found


def _terms(seen: Fingerprint, now: Fingerprint) -> str | None:
    """Return how the licence changed."""
    if seen.licence != now.licence:
        return f"the card named {seen.licence} and names {now.licence}"
    changed = _changed(seen.terms, now.terms)
    return f"the text of {', '.join(changed)}" if changed else None


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
